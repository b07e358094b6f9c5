// The jobs of one label as pictures: a sweep as a grid with its axes, any other set as it comes.

import { doToAll, listJobs, reasonOf } from "../server/api.js";
import { listAddress, openList } from "../many/labels.js";
import { Sure } from "../many/sure.js";
import { element, set } from "../parts/dom.js";
import { count, duration, promptOf } from "../parts/words.js";
import { Cell } from "./cell.js";
import { gridOf, pathsOf, shown } from "./plan.js";

const PAGE = 200;
const MOST = 400; // jobs that are shown
const LIVE = ["queued", "running"];
const WAYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export class SetPage {
  title = "Set";
  #label;
  #cells = new Map(); // by the ids of their jobs
  #prompt = element("p");
  #told = element("p", { className: "dim", role: "status", tabIndex: -1 });
  #said = element("p", { className: "field-error", role: "alert" });
  #hint = element("p", { className: "dim", role: "status" });
  #stage = element("div", { className: "grid-stage", tabIndex: 0, role: "region", ariaLabel: "Pictures" });
  #shape = "";
  #cancel;
  #retry;
  #pair = element("button", { type: "button", ariaPressed: "false", textContent: "Compare two" });
  #first = null; // id of the job that was chosen first

  constructor(label) {
    this.#label = label;
    const paths = pathsOf(label);
    const heading = element("h2", { tabIndex: -1, textContent: paths.length ? `Sweep of ${paths.join(" and ")}` : label });
    const list = element("a", { href: listAddress(label), textContent: "As a list" });
    list.addEventListener("click", (event) => openList(event, { label }));
    this.#cancel = new Sure((number, isSure) => `Cancel ${isSure ? `${count(number, "job")}: sure?` : "the rest"}`, () => this.#act("cancel", LIVE));
    this.#retry = new Sure((number, isSure) => `Run ${isSure ? `${count(number, "job")} again: sure?` : "the failed ones again"}`, () => this.#act("retry", ["failed", "canceled"]));
    const line = element("div", { className: "line" }, this.#told, list, this.#pair, this.#cancel.node, this.#retry.node);
    this.node = element("section", { className: "stacked set-page" }, element("p", {}, element("a", { href: "#/", textContent: "← All jobs" })), heading, this.#prompt, line, this.#hint, this.#said, this.#stage);
    this.#stage.addEventListener("keydown", (event) => this.#move(event));
    this.#pair.addEventListener("click", () => this.#choosing(this.#pair.ariaPressed !== "true"));
    this.#stage.addEventListener("click", (event) => this.#choose(event));
  }

  async refresh() {
    const jobs = [];
    let cursor = null;
    do {
      const page = await listJobs({ label: this.#label, limit: PAGE, cursor });
      jobs.push(...page.data);
      cursor = page.next_cursor;
    } while (cursor && jobs.length < MOST);
    this.#show(jobs.reverse().filter(({ request }) => !request.kind), cursor !== null);
  }

  event(event) {
    this.#cells.get(event.job_id)?.event(event);
    if (event.type === "done") this.#tell();
  }

  #show(jobs, isCut) {
    for (const job of jobs) {
      if (this.#cells.has(job.id)) this.#cells.get(job.id).show(job);
      else this.#cells.set(job.id, new Cell(job));
    }
    const ids = new Set(jobs.map(({ id }) => id));
    for (const id of this.#cells.keys()) if (!ids.has(id)) this.#cells.delete(id);
    const prompts = new Set(jobs.map(promptOf));
    set(this.#prompt, "textContent", prompts.size === 1 ? [...prompts][0] : "");
    const grid = gridOf(jobs, this.#label);
    const shape = JSON.stringify([grid?.paths, [...ids]]);
    if (shape !== this.#shape) this.#lay(grid, jobs);
    this.#shape = shape;
    this.#tell(isCut ? ` Only the newest ${count(jobs.length, "job")} are shown.` : "");
  }

  #lay(grid, jobs) {
    const focused = document.activeElement;
    const empty = () => element("p", { className: "empty", textContent: "No job has this label, or none that is kept still." });
    const flow = () => element("ul", { className: "flow" }, ...jobs.map(({ id }) => element("li", {}, this.#cells.get(id).node)));
    this.#stage.replaceChildren(jobs.length === 0 ? empty() : grid ? this.#table(grid) : flow());
    if (this.#stage.contains(focused)) focused.focus();
  }

  #table({ paths: [across, down], columns, rows, cellAt }) {
    const head = columns.map((value) => element("th", { scope: "col", textContent: shown(value) }));
    const corner = down ? [element("th", { scope: "col", className: "corner", textContent: `${down} ↓` })] : [];
    const lines = rows.map((row) => {
      const cells = columns.map((column) => {
        const cell = this.#cells.get(cellAt(row, column)?.id);
        if (cell) cell.name = `${across} ${column}${down ? `, ${down} ${row}` : ""}`;
        return element("td", {}, ...(cell ? [cell.node] : []));
      });
      return element("tr", {}, ...(down ? [element("th", { scope: "row", textContent: row })] : []), ...cells);
    });
    const axis = element("tr", {}, ...(down ? [element("td")] : []), element("th", { scope: "colgroup", colSpan: columns.length, className: "axis-name", textContent: `${across} →` }));
    const caption = element("caption", { className: "visually-hidden", textContent: `Pictures by ${[across, down].filter(Boolean).join(" and ")}. Arrow keys move between them.` });
    return element("table", { className: "sweep-grid" }, caption, element("thead", {}, axis, element("tr", {}, ...corner, ...head)), element("tbody", {}, ...lines));
  }

  // From one picture to its neighbour.
  #move(event) {
    const way = WAYS[event.key];
    const cell = document.activeElement?.closest("td");
    if (!way || !cell || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const row = cell.parentElement;
    const next = row.parentElement.children[row.rowIndex - 2 + way[0]]?.children[cell.cellIndex + way[1]]?.querySelector("a");
    next?.focus();
  }

  // While two are chosen, a click on a picture chooses it instead of opening its job.
  #choosing(isOn) {
    this.#first = null;
    this.#pair.ariaPressed = String(isOn);
    this.#cells.forEach(({ node }) => node.classList.remove("picked"));
    set(this.#hint, "textContent", isOn ? "Choose a picture, then the one to compare it with." : "");
  }

  #choose(event) {
    const chosen = event.target.closest("a.cell");
    if (!chosen || this.#pair.ariaPressed !== "true" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [, id] = chosen.hash.match(/^#\/jobs\/(.+)$/);
    if (this.#first === id) return this.#choosing(true);
    if (this.#first !== null) return (location.hash = `#/compare/${this.#first}/${id}`);
    this.#first = id;
    chosen.classList.add("picked");
    set(this.#hint, "textContent", "Now the one to compare it with.");
  }

  #tell(more = "") {
    const jobs = [...this.#cells.values()].map(({ job }) => job);
    const number = (...statuses) => jobs.filter(({ status }) => statuses.includes(status)).length;
    const left = jobs.map(({ progress, status }) => (LIVE.includes(status) ? progress.eta_s : null)).filter((eta) => eta !== null);
    const parts = [`${number("succeeded")} of ${count(jobs.length, "job")} done`, ...(number("failed") ? [`${number("failed")} failed`] : []), ...(number("canceled") ? [`${number("canceled")} canceled`] : []), ...(left.length ? [`about ${duration(Math.ceil(Math.max(...left)))} left`] : [])];
    set(this.#told, "textContent", `${parts.join(", ")}.${more}`);
    this.#cancel.tell(number(...LIVE));
    this.#retry.tell(number("failed", "canceled"));
  }

  async #act(action, statuses) {
    const ids = [...this.#cells.values()].filter(({ job }) => statuses.includes(job.status)).map(({ job }) => job.id);
    this.#said.textContent = "";
    try {
      for (let from = 0; from < ids.length; from += PAGE) {
        const { errors } = await doToAll(action, { ids: ids.slice(from, from + PAGE) });
        if (errors.length) this.#said.textContent = `${count(errors.length, "job")} could not be: ${errors[0].message}`;
      }
      await this.refresh();
      this.#told.focus(); // the button may be gone
    } catch (error) {
      this.#said.textContent = reasonOf(error);
    }
  }
}
