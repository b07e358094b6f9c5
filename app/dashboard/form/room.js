// A job that the full queue has refused: it is sent again as soon as there is room, unless somebody changes their mind.

import { element, set } from "../parts/dom.js";

const LEAST_PAUSE_MS = 3000; // between two tries

export class Room {
  node = element("div", { className: "room", role: "status", hidden: true });
  #words = element("span");
  #again = null; // sends the job again
  #triedAt = 0;

  constructor() {
    const forget = element("button", { type: "button", textContent: "Do not send it" });
    forget.addEventListener("click", () => this.forget());
    this.node.append(this.#words, forget);
  }

  // Wait for room, and then call `again`.
  wait(message, again) {
    this.#again = again;
    this.#triedAt = Date.now();
    set(this.node, "hidden", false);
    set(this.#words, "textContent", `The queue is full: ${message}. This job is sent as soon as there is room. `);
  }

  forget() {
    this.#again = null;
    set(this.node, "hidden", true);
  }

  // The queue as it is now.
  look({ jobs, max_queued: most }) {
    if (this.#again === null || jobs.queued >= most || Date.now() - this.#triedAt < LEAST_PAUSE_MS) return;
    const again = this.#again;
    this.forget();
    again();
  }
}
