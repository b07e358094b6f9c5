// The jobs that are chosen in the table, and what can be done with them together.

import { doToAll, reasonOf } from "../server/api.js";
import { element, set } from "../parts/dom.js";
import { count } from "../parts/words.js";
import { PriorityChoice, canHavePriority } from "./priority.js";
import { Sure } from "./sure.js";

const MOST = 200; // of one call
const ACTIONS = [
  ["cancel", (job) => ["queued", "running"].includes(job.status), "Cancel", "canceled"],
  ["retry", (job) => !["queued", "running"].includes(job.status) && job.request.kind === undefined, "Run again", "run again"],
  ["delete", () => true, "Delete", "deleted"],
];

export class Chosen {
  node;
  #rows = new Map(); // by the ids of their jobs
  #last = null; // id of the job that was clicked last
  #buttons;
  #told = element("p", { role: "status", tabIndex: -1 });
  #compare = element("a", { className: "button", textContent: "Compare" });
  #none = element("button", { type: "button", textContent: "Select none" });
  #priority = new PriorityChoice((priority) => this.#do((ids) => doToAll("prioritize", { ids, priority }), canHavePriority, `now of priority ${priority}`));
  #said = "";
  #changed;

  // `changed` is called when others are chosen, and with `true` when jobs have changed.
  constructor(changed) {
    this.#changed = changed;
    this.#buttons = ACTIONS.map(([action, fits, words, done]) => {
      const say = (number, isSure) => `${words} ${isSure ? `${count(number, "job")}: sure?` : number}`;
      return { fits, button: new Sure(say, () => this.#do((ids) => doToAll(action, { ids }), fits, done)) };
    });
    this.#none.addEventListener("click", () => this.clear());
    const buttons = this.#buttons.map(({ button }) => button.node);
    this.node = element("div", { className: "chosen-jobs", role: "group", ariaLabel: "Selected jobs", hidden: true }, this.#told, this.#priority.node, ...buttons, this.#compare, this.#none);
  }

  get size() {
    return this.#rows.size;
  }

  // Ask whether to cancel them.
  cancel() {
    const { node } = this.#buttons[0].button;
    node.click();
    node.focus();
  }

  // A box was clicked; with Shift, all from the last one on become as it is. `rows` are those that are shown.
  pick(row, isRange, rows) {
    const [to, from] = [row.job.id, isRange ? this.#last : null].map((id) => rows.findIndex(({ job }) => job.id === id));
    const [first, last] = from < 0 ? [to, to] : [Math.min(from, to), Math.max(from, to)];
    const { isChosen } = row;
    for (const one of rows.slice(first, last + 1)) this.#choose(one, isChosen);
    this.#last = row.job.id;
    this.#tell();
  }

  all(rows, isChosen) {
    for (const row of rows) this.#choose(row, isChosen);
    this.#tell();
  }

  clear() {
    for (const row of [...this.#rows.values()]) this.#choose(row, false);
    this.#tell();
  }

  // These rows are left; the others are chosen no more.
  keep(ids) {
    for (const id of [...this.#rows.keys()]) if (!ids.has(id)) this.#rows.delete(id);
    this.show();
  }

  // Tell anew what can be done: the jobs may have another status now.
  show() {
    const jobs = [...this.#rows.values()].map(({ job }) => job);
    set(this.node, "hidden", jobs.length === 0 && this.#said === "");
    set(this.#told, "textContent", jobs.length ? `${count(jobs.length, "job")} selected` : this.#said);
    for (const { fits, button } of this.#buttons) button.tell(jobs.filter(fits).length);
    this.#priority.show(jobs.filter(canHavePriority));
    const pictures = jobs.filter(({ images }) => images.length > 0);
    set(this.#compare, "hidden", jobs.length !== 2 || pictures.length !== 2);
    if (!this.#compare.hidden) this.#compare.href = `#/compare/${jobs.map(({ id }) => encodeURIComponent(id)).join("/")}`;
    set(this.#none, "hidden", jobs.length === 0);
  }

  #choose(row, isChosen) {
    row.isChosen = isChosen;
    if (isChosen) this.#rows.set(row.job.id, row);
    else this.#rows.delete(row.job.id);
  }

  #tell() {
    this.#said = "";
    this.show();
    this.#changed(false);
  }

  async #do(act, fits, done) {
    const ids = [...this.#rows.values()].map(({ job }) => job).filter(fits).map(({ id }) => id);
    let [number, failed] = [0, 0];
    let trouble = "";
    try {
      for (let from = 0; from < ids.length; from += MOST) {
        const { data, errors } = await act(ids.slice(from, from + MOST));
        number += data.length;
        failed += errors.length;
      }
    } catch (error) {
      trouble = ` ${reasonOf(error)}`;
    }
    this.clear();
    this.#said = `${count(number, "job")} ${done}.${failed ? ` ${count(failed, "job")} could not be.` : ""}${trouble}`;
    this.show();
    this.#told.focus();
    this.#changed(true);
  }
}
