// The list of jobs as a table: a line a job, to see many at once, and to choose some of them.

import { serverNow } from "../server/api.js";
import { element, set } from "../parts/dom.js";
import { areOff } from "../parts/keys.js";
import { listAddressOf, openList } from "./labels.js";
import { duration, ordinal, promptOf, shortened, statusWords } from "../parts/words.js";

const COLUMNS = [
  ["pick", ""],
  ["picture", ""],
  ["status", "Status"],
  ["prompt", "Prompt"],
  ["caller", "Caller"],
  ["priority", "Priority"],
  ["worker", "Worker"],
  ["waited", "Waited"],
  ["ran", "Ran"],
  ["at", "Submitted"],
];

export class JobTable {
  node;
  body = element("tbody");
  #table;
  #all = element("input", { type: "checkbox", ariaLabel: "Select all jobs that are shown" });

  // `onAll` is told whether all jobs that are shown are to be chosen.
  constructor(onAll) {
    this.#all.addEventListener("change", () => onAll(this.#all.checked));
    const head = COLUMNS.map(([name, words]) => element(words ? "th" : "td", { className: `col-${name}`, ...(words && { scope: "col", textContent: words }) }));
    head[0].append(element("label", {}, this.#all));
    const caption = element("caption", { className: "visually-hidden", textContent: "Jobs. Arrow keys move from one to the next; x selects one, a all, c cancels." });
    this.#table = element("table", { className: "job-table" }, caption, element("thead", {}, element("tr", {}, ...head)), this.body);
    this.node = element("div", { className: "table-stage", hidden: true });
    this.body.addEventListener("keydown", (event) => this.#pressed(event));
  }

  // Only a table that is shown is on the page.
  set isShown(value) {
    set(this.node, "hidden", !value);
    if (value === (this.node.childElementCount === 0)) this.node.replaceChildren(...(value ? [this.#table] : []));
  }

  // Show whether none, some or all of the jobs are chosen.
  tell(chosen, shown) {
    set(this.#all, "checked", shown > 0 && chosen === shown);
    set(this.#all, "indeterminate", chosen > 0 && chosen < shown);
  }

  #pressed(event) {
    const by = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "a" && !areOff()) this.#all.click();
    if (!by) return;
    const next = event.target.closest("tr")?.[by];
    if (!next) return;
    event.preventDefault();
    // The same thing of the next line: its box, or its link.
    (event.target.type === "checkbox" ? next.querySelector("input") : next.querySelector(".col-prompt a")).focus();
  }
}

// One job. It is made once and then updated, so that focus and choice survive every refresh.
export class TableRow {
  node;
  #box = element("input", { type: "checkbox" });
  #cells = Object.fromEntries(COLUMNS.map(([name]) => [name, element("td", { className: `col-${name}` })]));
  #badge = element("span", { className: "badge" });
  #foreseen = element("span", { className: "foreseen" });
  #canceling = false;
  #pictured = null;

  constructor(job, { onPick, onCancel }) {
    const prompt = promptOf(job);
    this.job = job;
    this.#box.ariaLabel = `Select: ${shortened(prompt)}`;
    this.#box.addEventListener("click", (event) => onPick(this, event.shiftKey));
    this.#cells.pick.append(element("label", {}, this.#box));
    this.#cells.status.append(this.#badge, this.#foreseen);
    this.#cells.prompt.append(element("a", { href: `#/jobs/${job.id}`, textContent: prompt, title: prompt }));
    const whose = element("a", { href: listAddressOf({ caller: job.caller ?? "anonymous" }), textContent: job.caller ?? "anyone", title: "Only the jobs of this caller, named by a digest" });
    whose.addEventListener("click", (event) => {
      const status = new URLSearchParams(location.search).get("status");
      openList(event, { ...(status && { status }), caller: job.caller ?? "anonymous" });
    });
    this.#cells.caller.append(whose);
    this.#cells.at.textContent = new Date(job.created_at).toLocaleTimeString();
    this.#cells.at.title = new Date(job.created_at).toLocaleString();
    this.node = element("tr", {}, ...Object.values(this.#cells));
    this.node.addEventListener("keydown", (event) => {
      const acts = { x: () => this.#box.click(), c: () => onCancel(this) }[event.key];
      if (!acts || areOff() || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      acts();
    });
    this.update(job);
  }

  get isChosen() {
    return this.#box.checked;
  }

  set isChosen(value) {
    this.#box.checked = value;
    this.node.classList.toggle("chosen", value);
  }

  set canceling(value) {
    this.#canceling = value;
    this.update(this.job);
  }

  update(job) {
    this.job = job;
    const over = !["queued", "running"].includes(job.status);
    const canceling = !over && (this.#canceling || job.cancel_requested);
    set(this.node.dataset, "status", canceling ? "canceling" : job.status);
    set(this.#badge, "textContent", wordsOf(job, canceling));
    const eta = job.status === "queued" && !canceling ? (job.progress.eta_s ?? null) : null;
    set(this.#foreseen, "textContent", eta === null ? "" : ` · done in ${short(Math.ceil(eta))}`);
    set(this.#badge, "title", job.error ? `${job.error.message} (${job.error.type})` : "");
    set(this.#cells.priority, "textContent", job.request.priority ?? "normal");
    set(this.#cells.worker, "textContent", job.status === "queued" ? "" : (job.worker ?? ""));
    this.#picture(job);
    this.tick();
  }

  preview() {}

  // Tell the times anew.
  tick() {
    const { created_at: created, started_at: started, finished_at: finished, metrics, status } = this.job;
    const since = (time) => Math.max(0, Math.floor((serverNow() - Date.parse(time)) / 1000));
    const waits = status === "queued" ? since(created) : metrics.queue_s;
    const runs = status === "running" && started ? since(started) : finished ? metrics.execution_s : null;
    set(this.#cells.waited, "textContent", waits === null ? "" : short(waits));
    set(this.#cells.ran, "textContent", runs === null ? "" : short(runs));
  }

  #picture({ images }) {
    const url = images[0]?.url ?? null;
    if (url === this.#pictured) return;
    this.#pictured = url;
    this.#cells.picture.replaceChildren(...(url ? [element("img", { src: url, alt: "", loading: "lazy", decoding: "async", width: 36, height: 36 })] : []));
  }
}

// A duration in at most two short words.
const short = (seconds) => (seconds >= 60 ? duration(seconds).replace(/(min|h) .*/, "$1") : duration(seconds));

// The status, with the place in the queue or the progress.
function wordsOf(job, canceling) {
  const { step, steps, fraction } = job.progress;
  const words = statusWords(job, canceling);
  if (job.status === "running" && steps && !canceling) return `${words} · ${Math.round(100 * (fraction ?? step / steps))} %`;
  if (job.status !== "queued" || canceling) return words;
  return job.queue_position === null ? "queued" : job.queue_position === 0 ? "next" : ordinal(job.queue_position + 1);
}
