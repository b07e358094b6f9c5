// The list of jobs: those that run first, then the newest. Pages follow on demand; new jobs wait while someone reads below.

import { cancelJob, getJob, listJobs, reasonOf } from "../server/api.js";
import { runAgain } from "../server/actions.js";
import { arrange, element, set } from "../parts/dom.js";
import { emptyState } from "../parts/empty.js";
import { Row } from "../parts/row.js";
import { count, promptOf, shortened } from "../parts/words.js";
import { Bulk } from "../many/bulk.js";
import { LabelFilter } from "../many/label_filter.js";

const PAGE = 50;
const MOST_FOLLOWED = 10; // jobs below the first page that are polled one by one while there are no events
const STATUSES = ["queued", "running", "succeeded", "failed", "canceled"];

const find = (id) => document.getElementById(id);

export class JobList {
  #rows = new Map();
  #filters = new Map();
  #order = []; // ids as listed, without those that run and stand above
  #running = [];
  #waiting = new Set(); // ids of new jobs that are not shown yet
  #cursor = null;
  #status;
  #label;
  #announce;
  #changed;
  #bulk;
  #labels;

  // `announce` says something to a screen reader; `changed` asks for a refresh.
  constructor(announce, changed) {
    this.#announce = announce;
    this.#changed = changed;
    this.#buildFilters();
    this.#bulk = new Bulk(changed);
    find("bulk").replaceWith(this.#bulk.node);
    this.#labels = new LabelFilter((label) => this.#choose(this.#status, label));
    find("labels").replaceWith(this.#labels.node);
    find("more").addEventListener("click", () => this.#more());
    find("news").addEventListener("click", () => this.#showNews());
    this.#adoptChoice();
  }

  // What the address asks for.
  get #chosen() {
    const asked = new URLSearchParams(location.search);
    const status = asked.get("status");
    return { status: STATUSES.includes(status) ? status : null, label: asked.get("label") || null };
  }

  // Another filter is in the address.
  showChoice() {
    if (this.#isChosen(this.#chosen)) return;
    this.#adoptChoice();
    this.#changed();
  }

  #isChosen({ status, label }) {
    return this.#status === status && this.#label === label;
  }

  #adoptChoice() {
    ({ status: this.#status, label: this.#label } = this.#chosen);
    this.#labels.chosen = this.#label;
    for (const [status, { button }] of this.#filters) button.ariaPressed = String(status === this.#status);
    this.#order = [];
    this.#running = [];
    this.#waiting.clear();
    this.#cursor = null;
    find("jobs").ariaBusy = "true";
  }

  async refresh(isStreaming) {
    const asked = { status: this.#status, label: this.#label };
    const [page, running] = await Promise.all([
      listJobs({ ...asked, limit: PAGE }),
      asked.status === null ? listJobs({ ...asked, status: "running", limit: PAGE }) : { data: [] },
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
  }

  // Show a job that was just submitted here, before any refresh.
  add(job) {
    this.#waiting.delete(job.id);
    const isListed = [null, job.status].includes(this.#status) && (this.#label === null || job.request.labels?.includes(this.#label));
    if (!isListed || this.#order.includes(job.id)) return;
    this.#row(job);
    this.#order.unshift(job.id);
    this.#draw();
  }

  tick() {
    this.#rows.forEach((row) => row.tick());
  }

  showCounts(jobs) {
    const all = Object.values(jobs).reduce((sum, number) => sum + number, 0);
    const isOfAll = this.#label === null; // the numbers are, and so is what is done with all of a status
    for (const [status, { number }] of this.#filters) set(number, "textContent", isOfAll ? String(status ? jobs[status] : all) : "");
    this.#bulk.show(isOfAll ? this.#status : null, jobs[this.#status] ?? 0);
  }

  #merge(page, running) {
    const first = this.#order.length === 0;
    const known = new Set([...this.#order, ...this.#running]);
    const ids = page.data.map(({ id }) => id);
    const news = ids.filter((id) => !known.has(id));
    // A reader who has scrolled down keeps the rows in sight.
    const reading = !first && find("jobs").getBoundingClientRect().top < 0;
    const older = this.#older(page, new Set(ids));
    if (older.length === 0) this.#cursor = page.next_cursor;
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
    const listed = this.#order.filter((id) => !running.has(id) && !this.#waiting.has(id));
    const shown = [...this.#running, ...listed];
    const keep = new Set([...shown, ...this.#waiting]);
    for (const id of this.#rows.keys()) if (!keep.has(id)) this.#rows.delete(id);
    arrange(find("jobs"), shown.map((id) => this.#rows.get(id).node));
    set(find("jobs"), "ariaBusy", "false");
    set(find("news"), "hidden", this.#waiting.size === 0);
    set(find("news"), "textContent", `${count(this.#waiting.size, "new job")}: show`);
    set(find("more"), "hidden", this.#cursor === null);
    this.#labels.know([...this.#rows.values()].flatMap(({ job }) => job.request.labels ?? []));
    this.#showEmpty(shown.length === 0);
  }

  #showEmpty(isEmpty) {
    const empty = find("empty");
    const kind = isEmpty ? `${this.#status ?? "all"} ${this.#label ?? ""}` : "";
    set(find("jobs"), "hidden", isEmpty);
    if (empty.dataset.kind === kind) return;
    empty.dataset.kind = kind;
    empty.hidden = !isEmpty;
    empty.replaceChildren(...(isEmpty ? emptyState(this.#status, this.#label) : []));
  }

  async #more() {
    const asked = { status: this.#status, label: this.#label };
    find("more").disabled = true;
    try {
      const page = await listJobs({ ...asked, limit: PAGE, cursor: this.#cursor });
      if (!this.#isChosen(asked)) return;
      for (const job of page.data) this.#update(job);
      this.#order = [...new Set([...this.#order, ...page.data.map(({ id }) => id)])];
      this.#cursor = page.next_cursor;
      this.#draw();
    } catch (error) {
      this.#announce(`Older jobs could not be loaded: ${reasonOf(error)}`);
    } finally {
      find("more").disabled = false;
    }
  }

  #showNews() {
    this.#waiting.clear();
    this.#draw();
    find("jobs").focus({ preventScroll: true });
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
      this.#rows.set(job.id, new Row(job, { onCancel: (row) => this.#cancel(row), onRetry: (old, button) => this.#retry(old, button) }));
    }
    return this.#rows.get(job.id);
  }

  #drop(id) {
    this.#order = this.#order.filter((other) => other !== id);
    this.#running = this.#running.filter((other) => other !== id);
    this.#waiting.delete(id);
    this.#draw();
  }

  async #cancel(row) {
    row.canceling = true;
    try {
      this.#update(await cancelJob(row.job.id));
    } catch (error) {
      row.canceling = false;
      this.#announce(`Not canceled: ${reasonOf(error)}`);
    }
    this.#changed();
  }

  async #retry(old, button) {
    button.disabled = true;
    try {
      const job = await runAgain(old);
      this.add(job);
      this.#announce(`Submitted again: ${shortened(promptOf(job))}`);
    } catch (error) {
      this.#announce(`Not submitted: ${reasonOf(error)}`);
    } finally {
      button.disabled = false;
      this.#changed();
    }
  }

  #choose(status, label) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries({ status, label })) {
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
      button.addEventListener("click", () => this.#choose(status, this.#label));
      this.#filters.set(status, { button, number });
      find("filters").append(button);
    }
  }
}
