// The list of jobs: those that run first, then the newest, or those that wait in their turn. Pages follow on demand; new
// jobs wait while someone reads below. It is shown as cards, or as a table.

import { cancelJob, deleteJob, getJob, listJobs, reasonOf } from "../server/api.js";
import { runAgain, varySeed } from "../server/actions.js";
import { arrange, element, once, set } from "../parts/dom.js";
import { emptyState } from "../parts/empty.js";
import { Row } from "../parts/row.js";
import { count, promptOf, shortened } from "../parts/words.js";
import { Bulk } from "../many/bulk.js";
import { Chosen } from "../many/chosen.js";
import { LabelFilter } from "../many/label_filter.js";
import { enter } from "../many/moving.js";
import { NAMES, Narrow, asked, isNarrow } from "../many/narrow.js";
import { Reasons } from "../many/reasons.js";
import { JobTable, TableRow } from "../many/table.js";
import { ViewChoice, kept } from "../many/views.js";

const PAGE = 50;
const MOST_OF_A_PAGE = 200; // of the table, which shows more at a time
const SEEN_BEFORE_PX = 40; // of the filter before the one that is chosen
const PICTURES = ["generate", "enlarge"]; // kinds of jobs that make pictures
const MOST_FOLLOWED = 10; // jobs below the first page that are polled one by one while there are no events
const STATUSES = ["queued", "running", "succeeded", "failed", "canceled"];

const find = (id) => document.getElementById(id);

export class JobList {
  #rows = new Map();
  #buttons = new Map(); // of the statuses
  #order = []; // ids as listed, without those that run and stand above
  #running = [];
  #waiting = new Set(); // ids of new jobs that are not shown yet
  #cursor = null;
  #lookedTo = null; // creation of the oldest job that the server has looked at, if it stopped there
  #status;
  #label;
  #kind;
  #view;
  #narrowed = {}; // the further filters, by their names in the address
  #announce;
  #changed;
  #bulk;
  #labels;
  #views;
  #narrow;
  #reasons;
  #table = new JobTable((isChosen) => this.#chosen.all(this.#shown(), isChosen));
  #chosen = new Chosen((isDone) => {
    this.#tellChosen();
    if (isDone) this.#changed();
  });

  // `announce` says something to a screen reader; `changed` asks for a refresh.
  constructor(announce, changed) {
    this.#announce = announce;
    this.#changed = changed;
    this.#buildFilters();
    this.#bulk = new Bulk(changed);
    find("bulk").replaceWith(this.#bulk.node);
    this.#labels = new LabelFilter((label) => this.#choose({ label }));
    this.#views = new ViewChoice((view) => this.#choose({ view }), (kind) => this.#choose({ kind }));
    this.#narrow = new Narrow((narrowed) => this.#choose(narrowed));
    this.#reasons = new Reasons((error) => this.#choose({ error }));
    find("labels").replaceWith(element("div", { className: "list-tools" }, this.#narrow.node, this.#labels.node, this.#views.node), this.#reasons.node);
    find("jobs").before(this.#chosen.node);
    find("jobs").after(this.#table.node);
    find("more").addEventListener("click", () => once(find("more"), () => this.#more()));
    find("news").addEventListener("click", () => this.#showNews());
    this.#adoptChoice();
  }

  // What the address asks for.
  get #asked() {
    const asked = new URLSearchParams(location.search);
    const status = asked.get("status");
    return {
      status: STATUSES.includes(status) ? status : null,
      label: asked.get("label") || null,
      kind: asked.get("kind") === "pictures" ? "pictures" : null,
      view: (asked.get("view") ?? kept.view) === "table" ? "table" : null,
      ...Object.fromEntries(NAMES.map((name) => [name, asked.get(name) || null])),
    };
  }

  get #choice() {
    return { status: this.#status, label: this.#label, kind: this.#kind, view: this.#view, ...this.#narrowed };
  }

  get #isFiltered() {
    return this.#label !== null || this.#kind !== null || isNarrow(this.#narrowed);
  }

  // The filters but for the status, as the server takes them.
  get #filters() {
    return { ...asked(this.#narrowed), ...(this.#label && { label: this.#label }), ...(this.#kind && { kind: PICTURES }) };
  }

  // What the server is asked for: the waiting jobs alone, of all or of one caller, are listed by their turn.
  get #query() {
    const order = this.#status === "queued" && this.#label === null && !isNarrow({ ...this.#narrowed, caller: null }) ? "turn" : "newest";
    return { ...this.#filters, status: this.#status, order };
  }

  // Another filter is in the address.
  showChoice() {
    if (this.#isChosen(this.#asked)) return;
    this.#adoptChoice();
    this.#changed();
  }

  #isChosen(choice) {
    return Object.entries(this.#choice).every(([name, value]) => choice[name] === value);
  }

  #adoptChoice() {
    const before = this.#view;
    ({ status: this.#status, label: this.#label, kind: this.#kind, view: this.#view, ...this.#narrowed } = this.#asked);
    if (this.#status !== "failed" && this.#status !== null) this.#narrowed.error = null;
    this.#narrow.show(this.#choice);
    this.#labels.chosen = this.#label;
    this.#views.show(this.#view, this.#kind);
    if (before !== this.#view) this.#rows.clear(); // its rows are of the other sort
    this.#chosen.clear();
    for (const [status, { button }] of this.#buttons) button.ariaPressed = String(status === this.#status);
    const pressed = this.#buttons.get(this.#status).button;
    find("filters").scrollLeft = pressed.offsetLeft - find("filters").offsetLeft - SEEN_BEFORE_PX; // they scroll on a phone
    this.#order = [];
    this.#running = [];
    this.#waiting.clear();
    this.#cursor = this.#lookedTo = null;
    find("jobs").ariaBusy = "true";
  }

  async refresh(isStreaming) {
    const [asked, query] = [this.#choice, this.#query]; // may be others when the answers come
    const { error, ...others } = this.#filters;
    const [page, running] = await Promise.all([
      listJobs({ ...query, limit: PAGE }),
      asked.status === null && !error ? listJobs({ ...query, status: "running", limit: PAGE }) : { data: [] },
      this.#reasons.refresh(asked.status === "failed" || error ? others : null, error),
    ]);
    if (!this.#isChosen(asked)) return; // another filter was chosen meanwhile
    this.#merge(page, running.data.reverse());
    if (!isStreaming) await this.#lookBelow(new Set(page.data.map(({ id }) => id)));
  }

  event(event) {
    const row = this.#rows.get(event.job_id);
    if (event.type === "deleted" && row) this.#drop(event.job_id);
    if (!row) return;
    if (event.type === "progress") row.update({ ...row.job, status: "running", progress: event });
    if (event.type === "preview") row.preview(event);
    if (event.type === "canceling") row.update({ ...row.job, cancel_requested: true });
    if (event.type === "done" && event.job) this.#update(event.job);
    if (event.type === "done" && event.job && this.#status !== null) this.#draw();
  }

  // Show a job that was just submitted here, before any refresh.
  add(job) {
    this.#waiting.delete(job.id);
    if (isNarrow(this.#narrowed)) return; // the server knows whether it is one of these
    const isListed = [null, job.status].includes(this.#status) && (this.#label === null || job.request.labels?.includes(this.#label));
    if (!isListed || this.#order.includes(job.id)) return;
    this.#row(job);
    if (this.#query.order === "turn") return; // its place comes with the next refresh
    this.#order.unshift(job.id);
    this.#draw();
  }

  tick() {
    this.#rows.forEach((row) => row.tick());
  }

  showCounts(jobs) {
    const all = Object.values(jobs).reduce((sum, number) => sum + number, 0);
    // The numbers are of all jobs, whatever the filters leave.
    for (const [status, { number }] of this.#buttons) set(number, "textContent", this.#isFiltered ? "" : String(status ? jobs[status] : all));
    if (this.#isFiltered) this.#bulk.showFound(this.#status, this.#filters, [...this.#rows.values()].map(({ job }) => job), this.#cursor !== null);
    else this.#bulk.show(this.#status, jobs[this.#status] ?? 0);
  }

  #merge(page, running) {
    const first = this.#order.length === 0;
    const known = new Set([...this.#order, ...this.#running]);
    const ids = page.data.map(({ id }) => id);
    const news = ids.filter((id) => !known.has(id));
    // A reader who has scrolled down keeps the rows in sight.
    const isInTurn = this.#query.order === "turn";
    const reading = !first && !isInTurn && this.#place.getBoundingClientRect().top < 0;
    const older = this.#older(page, new Set(ids));
    // Those that wait move up: the next page begins behind what is shown.
    if (isInTurn && older.length) this.#cursor = String(ids.length + older.length);
    else if (older.length === 0) [this.#cursor, this.#lookedTo] = [page.next_cursor, page.looked_to];
    for (const job of [...running, ...page.data]) this.#update(job);
    this.#running = running.map(({ id }) => id);
    this.#waiting = new Set(reading ? news.filter((id) => !this.#running.includes(id)) : []);
    this.#order = [...ids, ...older];
    this.#draw();
  }

  // The jobs below the first page; empty if so many are new that there may be a gap.
  #older(page, ids) {
    if (page.next_cursor === null) return [];
    const last = this.#order.findLastIndex((id) => ids.has(id));
    return last < 0 ? [] : this.#order.slice(last + 1);
  }

  #draw() {
    const running = new Set(this.#running);
    // A job that has left its list since the list was read: it was claimed, or has ended.
    const isGone = (id) => this.#status !== null && this.#rows.get(id).job.status !== this.#status;
    this.#order = this.#order.filter((id) => !isGone(id));
    const listed = this.#order.filter((id) => !running.has(id) && !this.#waiting.has(id));
    const shown = [...this.#running, ...listed];
    const keep = new Set([...shown, ...this.#waiting]);
    for (const id of this.#rows.keys()) if (!keep.has(id)) this.#rows.delete(id);
    const nodes = shown.map((id) => this.#rows.get(id).node);
    arrange(find("jobs"), this.#view ? [] : nodes);
    arrange(this.#table.body, this.#view ? nodes : []);
    this.#chosen.keep(keep);
    this.#tellChosen();
    set(find("jobs"), "ariaBusy", "false");
    set(find("news"), "hidden", this.#waiting.size === 0);
    set(find("news"), "textContent", `Show ${count(this.#waiting.size, "new job")}`);
    set(find("more"), "hidden", this.#cursor === null);
    set(find("more"), "textContent", this.#lookedTo ? `Look at jobs before ${new Date(this.#lookedTo).toLocaleString()}` : "Show more");
    this.#labels.know([...this.#rows.values()].flatMap(({ job }) => job.request.labels ?? []));
    this.#showEmpty(shown.length === 0);
  }

  #showEmpty(isEmpty) {
    const empty = find("empty");
    const isNarrowed = isNarrow(this.#narrowed);
    const kind = isEmpty ? `${this.#status ?? "all"} ${this.#label ?? ""} ${isNarrowed} ${this.#lookedTo}` : "";
    set(find("jobs"), "hidden", isEmpty || this.#view !== null);
    this.#table.isShown = !isEmpty && this.#view !== null;
    if (empty.dataset.kind === kind) return;
    empty.dataset.kind = kind;
    empty.hidden = !isEmpty;
    empty.replaceChildren(...(isEmpty ? emptyState(this.#status, this.#label, isNarrowed, this.#lookedTo) : []));
  }

  async #more() {
    const asked = this.#choice;
    try {
      const page = await listJobs({ ...this.#query, limit: this.#view ? MOST_OF_A_PAGE : PAGE, cursor: this.#cursor });
      if (!this.#isChosen(asked)) return;
      for (const job of page.data) this.#update(job);
      this.#order = [...new Set([...this.#order, ...page.data.map(({ id }) => id)])];
      [this.#cursor, this.#lookedTo] = [page.next_cursor, page.looked_to];
      const hadFocus = document.activeElement === find("more");
      this.#draw();
      if (hadFocus && find("more").hidden) enter(this.#rows.get(page.data[0]?.id)?.node);
    } catch (error) {
      this.#announce(`Older jobs could not be loaded: ${reasonOf(error)}`);
    }
  }

  #showNews() {
    this.#waiting.clear();
    this.#draw();
    (this.#view ? find("jobs-title") : find("jobs")).focus({ preventScroll: true });
    find("jobs-title").scrollIntoView();
  }

  async #lookBelow(looked) {
    const ids = this.#order.filter((id) => !looked.has(id) && ["queued", "running"].includes(this.#rows.get(id)?.job.status));
    for (const job of await Promise.all(ids.slice(0, MOST_FOLLOWED).map((id) => getJob(id).catch(() => null)))) {
      if (job && this.#rows.has(job.id)) this.#update(job);
    }
  }

  #update(job) {
    const row = this.#row(job);
    if (row.job.status !== job.status) this.#announce(`${shortened(promptOf(job))}: ${job.status}`);
    row.update(job);
  }

  #row(job) {
    if (!this.#rows.has(job.id)) {
      const made = this.#view
        ? new TableRow(job, { onPick: (row, isRange) => this.#chosen.pick(row, isRange, this.#shown()), onCancel: (row) => (row.isChosen && this.#chosen.size > 1 ? this.#chosen.cancel() : this.#cancel(row)) })
        : new Row(job, { onCancel: (row) => this.#cancel(row), onRetry: (old, button) => once(button, () => this.#again(runAgain, old)), onVary: (old, button) => once(button, () => this.#again(varySeed, old)), onDelete: (row) => this.#delete(row) });
      this.#rows.set(job.id, made);
    }
    return this.#rows.get(job.id);
  }

  // What the list is: its cards, or its table.
  get #place() {
    return this.#view ? this.#table.node : find("jobs");
  }

  // The rows of the table, in their order.
  #shown() {
    const rows = new Map([...this.#rows.values()].map((row) => [row.node, row]));
    return [...this.#table.body.children].map((node) => rows.get(node));
  }

  #tellChosen() {
    this.#table.tell(this.#chosen.size, this.#table.body.childElementCount);
  }

  #drop(id) {
    this.#order = this.#order.filter((other) => other !== id);
    this.#running = this.#running.filter((other) => other !== id);
    this.#waiting.delete(id);
    this.#draw();
  }

  async #cancel(row) {
    if (!["queued", "running"].includes(row.job.status)) return;
    row.canceling = true;
    try {
      this.#update(await cancelJob(row.job.id));
    } catch (error) {
      row.canceling = false;
      this.#announce(`Not canceled: ${reasonOf(error)}`);
    }
    this.#changed();
  }

  async #delete({ job }) {
    try {
      await deleteJob(job.id);
      this.#drop(job.id);
      this.#announce(`Deleted: ${shortened(promptOf(job))}`);
    } catch (error) {
      this.#announce(`Not deleted: ${reasonOf(error)}`);
    }
    this.#changed();
  }

  async #again(make, old) {
    try {
      const job = await make(old);
      this.add(job);
      this.#announce(`Submitted again: ${shortened(promptOf(job))}`);
    } catch (error) {
      this.#announce(`Not submitted: ${reasonOf(error)}`);
    }
    this.#changed();
  }

  #choose(choice) {
    const url = new URL(location.href);
    if ("view" in choice) kept.view = choice.view;
    for (const [name, value] of Object.entries(choice)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    history.pushState(null, "", url);
    this.showChoice();
  }

  #buildFilters() {
    for (const status of [null, ...STATUSES]) {
      const number = element("span", { className: "count" });
      const button = element("button", { type: "button" }, status ?? "all", " ", number);
      button.addEventListener("click", () => this.#choose({ status }));
      this.#buttons.set(status, { button, number });
      find("filters").append(button);
    }
  }
}
