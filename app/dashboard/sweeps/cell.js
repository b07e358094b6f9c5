// A job where there is room for little: its pictures or previews, and one line.

import { element, set } from "../parts/dom.js";
import { Cells, scores } from "../parts/pictures.js";
import { promptOf, statusWords } from "../parts/words.js";

export class Cell {
  #frame = element("span", { className: "frame" });
  #words = element("span", { className: "cell-words" });
  #cells = new Cells(this.#frame);
  #name = "";

  constructor(job) {
    const { width, height } = job.request;
    this.#frame.style.aspectRatio = `${width} / ${height}`;
    this.node = element("a", { href: `#/jobs/${job.id}`, className: "cell", title: promptOf(job) }, this.#frame, this.#words);
    this.#name = promptOf(job);
    this.show(job);
  }

  // What it is called for who does not see where it stands.
  set name(words) {
    this.#name = words;
    this.#tell();
  }

  show(job) {
    this.job = job;
    this.#cells.show(job);
    set(this.node.dataset, "status", job.status);
    this.#tell();
  }

  event(event) {
    if (event.type === "preview") this.#cells.preview(event);
    if (event.type === "progress") this.show({ ...this.job, status: "running", progress: event });
    if (event.type === "done" && event.job) this.show(event.job);
  }

  #tell() {
    const { job } = this;
    const { step, steps } = job.progress;
    const running = job.status === "running" && steps ? `${step} of ${steps}` : statusWords(job);
    const words = job.images.length ? (scores(job.images[0])[0] ?? "") : running;
    set(this.#words, "textContent", words);
    set(this.node, "ariaLabel", `${this.#name}: ${job.images.length ? ["succeeded", words].filter(Boolean).join(", ") : running}`);
  }
}
