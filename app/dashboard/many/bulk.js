// What can be done with all jobs of one status at once, each in two clicks.

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
  cancel: { all: (jobs) => `Cancel ${jobs}`, done: "canceled" },
  retry: { all: (jobs) => `Run ${jobs} again`, done: "run again" },
  delete: { all: (jobs) => `Delete ${jobs}`, done: "deleted" },
};
const MOST_RETRIED = 200; // of one call

export class Bulk {
  node = element("div", { className: "bulk", role: "group", ariaLabel: "All jobs of this status", hidden: true });
  #status = null;
  #buttons = [];
  #told = element("p", { role: "status", tabIndex: -1 });
  #done;

  // `done` is called when jobs have changed.
  constructor(done) {
    this.#done = done;
  }

  // Offer what can be done with so many jobs of a status; nothing for null.
  show(status, number) {
    if (status !== this.#status) {
      this.#status = status;
      this.#buttons = (ACTIONS[status] ?? []).map((action) => new Sure(wordsOf(action, status), () => this.#act(action)));
      this.#told.textContent = "";
      this.node.replaceChildren(...this.#buttons.map(({ node }) => node), this.#told);
    }
    for (const button of this.#buttons) button.tell(number);
    set(this.node, "hidden", this.#buttons.length === 0 || (number === 0 && this.#told.textContent === ""));
  }

  async #act(action) {
    const status = this.#status;
    let [done, failed] = [0, 0];
    try {
      for (let more = true; more; ) {
        const answer = await doToAll(action, { status: [status] });
        done += answer.data.length;
        failed += answer.errors.length;
        // Retried jobs stay in their list, and those that run are canceled a while later: a second call would find the same.
        more = answer.more && answer.data.length > 0 && action !== "retry" && status !== "running";
      }
      this.#tell(`${count(done, "job")} ${WORDS[action].done}.${failed ? ` ${count(failed, "job")} could not be.` : ""}`);
    } catch (error) {
      this.#tell(`Stopped after ${count(done, "job")}: ${reasonOf(error)}`);
    }
    this.#done();
  }

  // The buttons may go now, and take the focus along.
  #tell(words) {
    this.#told.textContent = words;
    if (this.node.contains(document.activeElement)) this.#told.focus();
  }
}

const wordsOf = (action, status) => (number, isSure) => {
  const most = action === "retry" ? Math.min(number, MOST_RETRIED) : number;
  const { all } = WORDS[action];
  if (isSure) return `${all(count(most, `${status} job`))}: sure?`;
  return all(most < number ? `the newest ${most}` : `all ${number}`);
};
