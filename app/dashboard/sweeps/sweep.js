// The part of the form that makes a sweep: a field and its values, or two fields as a grid, as jobs of one label.

import { Refused, quoteJob, reasonOf, submitJob } from "../server/api.js";
import { element, set } from "../parts/dom.js";
import { count } from "../parts/words.js";
import { Axis } from "./axis.js";
import { changed, newLabel, setAddress, shown } from "./plan.js";

const MOST_JOBS = 100;
const AT_ONCE = 4;
const DRAFT = "lodestar-sweep";

// Why a sweep was not made, or not to its end.
export class SweepError extends Error {}

export class Sweep {
  #axes;
  #words = element("p", { className: "hint", role: "status" });
  #count;
  #begun = { plan: "", label: "" }; // what was submitted last, and not to its end

  // Stands in `node`, a <details>; `onChange` is called when the number of jobs may be another.
  constructor(node, onChange) {
    const told = () => {
      sessionStorage.setItem(DRAFT, JSON.stringify(this.#axes.map(({ draft }) => draft)));
      this.#tell();
      onChange();
    };
    this.#axes = [new Axis("Across", told), new Axis("Down", told)];
    this.#count = element("span");
    const hint = "A job for each value of a field, or for each pair of values of two fields: a grid of pictures from one seed.";
    node.append(element("summary", {}, "Sweep", this.#count), element("div", { className: "sweep-of" }, element("p", { className: "hint", textContent: hint }), ...this.#axes.map((axis) => axis.node), this.#words));
    const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null");
    this.#axes.forEach((axis, index) => (axis.draft = draft?.[index] ?? null));
    this.#tell();
  }

  // Offer these fields.
  offer(fields) {
    for (const axis of this.#axes) axis.offer(fields);
    this.#tell();
  }

  // The number of jobs; 0 if no field is swept.
  get size() {
    return this.isUsed ? this.#cells().length : 0;
  }

  get isUsed() {
    return this.#used.length > 0;
  }

  // Make the jobs of a sweep of this request, and show them.
  async submit(request) {
    this.#check();
    const paths = this.#used.map(({ path }) => path);
    const cells = this.#cells();
    const plan = JSON.stringify([request, cells]);
    // Pressed again after a failure, the button goes on with the same jobs.
    if (this.#begun.plan !== plan) this.#begun = { plan, label: newLabel(paths) };
    const { label } = this.#begun;
    const labels = [...(request.labels ?? []), label];
    const requests = cells.map((changes) => ({ ...changed(request, changes), labels }));
    await this.#quote(requests, cells);
    await this.#make(requests, label);
    this.#begun = { plan: "", label: "" };
    location.hash = setAddress(label);
  }

  get #used() {
    return this.#axes.filter(({ path }) => path !== null);
  }

  // Row by row, each job as pairs of a path and a value. What asks for the same is asked for once: without guidance, its
  // other fields say nothing.
  #cells() {
    const [across, down] = this.#used;
    const pairs = ({ path, values }) => values.map((value) => [path, value]);
    const all = down ? pairs(down).flatMap((row) => pairs(across).map((column) => [column, row])) : pairs(across).map((column) => [column]);
    return [...new Map(all.map((changes) => [JSON.stringify(changed({}, changes)), changes]).reverse()).values()].reverse();
  }

  #check() {
    for (const axis of this.#axes) axis.error = axis.fault ?? "";
    const [wrong] = this.#axes.filter(({ fault }) => fault);
    wrong?.focus();
    if (wrong) throw new SweepError(`${wrong.path}: ${wrong.fault}`);
    const [across, down] = this.#used;
    if (down?.path === across.path) throw new SweepError(`${down.path} is swept twice: choose another field.`);
    if (this.size > MOST_JOBS) throw new SweepError(`A sweep makes at most ${MOST_JOBS} jobs, and this would make ${this.size}.`);
  }

  // Have every job checked before the first is made.
  async #quote(requests, cells) {
    const left = requests.map((request, index) => [request, cells[index]]);
    const take = async () => {
      for (let next = left.shift(); next; next = left.shift()) {
        const [request, changes] = next;
        try {
          await quoteJob(request);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          left.length = 0;
          const named = changes.map(([path, value]) => `${path} ${shown(value)}`).join(", ");
          throw new SweepError(`With ${named}: ${reasonOf(error)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, take));
  }

  // One after another, so that they run in the order of the grid. All take the seed of the first.
  async #make(requests, label) {
    let seed;
    for (const [index, request] of requests.entries()) {
      try {
        const job = await submitJob(index && seed !== undefined ? { seed, ...request } : request, `${label}-${index}`);
        seed ??= job.request.seed;
      } catch (error) {
        if (index === 0) throw error;
        throw new SweepError(`${index} of ${requests.length} jobs are made. ${reasonOf(error)} Press again to make the others.`);
      }
      set(this.#words, "textContent", `${count(index + 1, "job")} of ${requests.length} made.`);
    }
  }

  #tell() {
    const { size } = this;
    const shape = this.#used.map(({ values }) => values.length).join(" × ");
    set(this.#count, "textContent", size ? ` (${count(size, "job")})` : "");
    set(this.#words, "textContent", this.#used.length === 2 ? `${shape}: ${count(size, "job")}` : size ? count(size, "job") : "");
  }
}
