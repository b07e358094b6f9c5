// A job's progress: a bar and its steps, or when a waiting job may end. What has stood still for a while is said to.

import { element, set } from "./dom.js";
import { duration } from "./words.js";

const STILL_MS = 10000; // without a step; a slow model may need three times the time of its last one
const TIMES = 3;

export class Advance {
  #bar = element("progress", { max: 1, ariaLabel: "Progress" });
  #words = element("span");
  #job = null;
  #movedAt = 0; // when the last step was seen
  #stepMs = 0; // time of the last step that was seen
  node = element("div", { className: "advance", hidden: true }, this.#bar, this.#words);

  show(job) {
    const now = Date.now();
    const { status, progress } = job;
    const before = this.#job;
    if (before?.status !== status || before.progress.step !== progress.step) {
      const isStep = before?.status === "running" && status === "running" && progress.step > before.progress.step;
      this.#stepMs = isStep ? (now - this.#movedAt) / (progress.step - before.progress.step) : 0;
      this.#movedAt = now;
    }
    this.#job = job;
    this.tick();
  }

  // Tell anew how long it has stood still.
  tick() {
    if (!this.#job) return;
    const { status, progress } = this.#job;
    const { step, steps, fraction, eta_s: eta } = progress;
    const running = status === "running";
    set(this.node, "hidden", !running && !(status === "queued" && eta !== null));
    set(this.#bar, "hidden", !running);
    if (this.node.hidden) return;
    const left = eta === null ? "" : `about ${duration(Math.ceil(eta))}`;
    if (!running) return set(this.#words, "textContent", `done in ${left}`);
    if (steps) set(this.#bar, "value", fraction);
    else this.#bar.removeAttribute("value");
    const stillMs = Date.now() - this.#movedAt;
    const isStill = stillMs > Math.max(STILL_MS, TIMES * this.#stepMs);
    const rest = isStill ? `, none for ${duration(Math.floor(stillMs / 1000))}` : left && `, ${left} left`;
    set(this.#words, "textContent", steps ? `${step} of ${steps} steps${rest}` : "loading the model");
  }
}
