// What can be done at once with all jobs of one status, or with all that filters leave, each in two clicks.

import { doToAll, reasonOf } from "../server/api.js";
import { element, set } from "../parts/dom.js";
import { count } from "../parts/words.js";
import { Sure } from "./sure.js";

const ACTIONS = {
  queued: ["cancel"],
  running: ["cancel"],
  succeeded: ["delete"],
  failed: ["retry", "delete"],
  canceled: ["retry", "delete"],
};
const WORDS = {
  cancel: { all: (jobs) => `Cancel ${jobs}`, verb: "Cancel", found: " that wait or run", done: "canceled" },
  retry: { all: (jobs) => `Run ${jobs} again`, verb: "Run again", found: " that failed or were canceled", done: "run again" },
  delete: { all: (jobs) => `Delete ${jobs}`, verb: "Delete", found: "", done: "deleted" },
};
const FITS = { cancel: ["queued", "running"], retry: ["failed", "canceled"] };
const MOST_RETRIED = 200; // of one call

export class Bulk {
  node = element("div", { className: "bulk", role: "group", ariaLabel: "All jobs of this list", hidden: true });
  #status = null;
  #filters = {};
  #key = "";
  #buttons = [];
  #told = element("p", { role: "status", tabIndex: -1 });
  #done;

  // `done` is called when jobs have changed.
  constructor(done) {
    this.#done = done;
  }

  // Offer what can be done with all jobs of a status, of which there are so many; nothing for null.
  show(status, number) {
    this.#offer(status, {}, ACTIONS[status] ?? [], wordsOf);
    for (const { button } of this.#buttons) button.tell(number);
    this.#hide(number === 0);
  }

  // Offer what can be done with all jobs that some filters leave, of a status or of any; `shown` are some of them.
  showFound(status, filters, shown, hasMore) {
    this.#offer(status, filters, status ? (ACTIONS[status] ?? []) : Object.keys(WORDS), wordsOfFound);
    const fits = (action) => shown.filter((job) => !FITS[action] || FITS[action].includes(job.status)).length;
    for (const { action, button } of this.#buttons) button.tell(status ? shown.length : fits(action) || (hasMore ? 1 : 0));
    this.#hide(shown.length === 0 && !hasMore);
  }

  #offer(status, filters, actions, words) {
    const key = JSON.stringify([status, { ...filters, since: null, until: null }, actions]);
    [this.#status, this.#filters] = [status, filters]; // times go on
    if (key === this.#key) return;
    this.#key = key;
    this.#buttons = actions.map((action) => ({ action, button: new Sure(words(action, status), () => this.#act(action)) }));
    this.#told.textContent = "";
    this.node.replaceChildren(...this.#buttons.map(({ button }) => button.node), this.#told);
  }

  #hide(isEmpty) {
    set(this.node, "hidden", this.#buttons.length === 0 || (isEmpty && this.#told.textContent === ""));
  }

  async #act(action) {
    const chosen = { ...this.#filters, ...(this.#status && { status: [this.#status] }) };
    const hasFocus = this.node.contains(document.activeElement);
    let [done, failed, cursor] = [0, 0, null];
    const tell = (words) => (this.#told.textContent = words);
    try {
      do {
        const answer = await doToAll(action, { ...chosen, ...(cursor && { cursor }) });
        done += answer.data.length;
        failed += answer.errors.length;
        cursor = action === "retry" ? null : answer.next_cursor;
      } while (cursor !== null);
      tell(`${count(done, "job")} ${WORDS[action].done}.${failed ? ` ${count(failed, "job")} could not be.` : ""}`);
    } catch (error) {
      tell(`Stopped after ${count(done, "job")}: ${reasonOf(error)}`);
    }
    if (hasFocus) this.#told.focus(); // the buttons may be gone
    this.#done();
  }
}

const wordsOf = (action, status) => (number, isSure) => {
  const most = action === "retry" ? Math.min(number, MOST_RETRIED) : number;
  const { all } = WORDS[action];
  if (isSure) return `${all(count(most, `${status} job`))}: sure?`;
  return all(most < number ? `the newest ${most}` : `all ${number}`);
};

const wordsOfFound = (action, status) => (_, isSure) => {
  const { verb, found } = WORDS[action];
  const words = `${verb} ${action === "retry" ? `up to ${MOST_RETRIED}` : "all"} found${status ? "" : found}`;
  return isSure ? `${words}, shown or not: sure?` : words;
};
