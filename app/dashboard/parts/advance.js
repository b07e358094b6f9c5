// A job's progress: a bar and its steps, or when a waiting job may end.

import { element, set } from "./dom.js";
import { duration } from "./words.js";

export class Advance {
  #bar = element("progress", { max: 1, ariaLabel: "Progress" });
  #words = element("span");
  node = element("div", { className: "advance", hidden: true }, this.#bar, this.#words);

  show(job) {
    const { step, steps, fraction, eta_s: eta } = job.progress;
    const running = job.status === "running";
    set(this.node, "hidden", !running && !(job.status === "queued" && eta !== null));
    set(this.#bar, "hidden", !running);
    if (this.node.hidden) return;
    const left = eta === null ? "" : `about ${duration(Math.ceil(eta))}`;
    if (!running) return set(this.#words, "textContent", `done in ${left}`);
    if (steps) set(this.#bar, "value", fraction);
    else this.#bar.removeAttribute("value");
    set(this.#words, "textContent", steps ? `${step} of ${steps} steps${left && `, ${left} left`}` : "loading the model");
  }
}
