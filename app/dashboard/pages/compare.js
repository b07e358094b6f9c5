// Two jobs, one over the other: a slider uncovers the second.

import { getJob } from "../server/api.js";
import { Advance } from "../parts/advance.js";
import { Curtain } from "../parts/curtain.js";
import { element, set } from "../parts/dom.js";
import { Cells, scores } from "../parts/pictures.js";
import { promptOf, statusWords } from "../parts/words.js";

export class Compare {
  title = "Comparison";
  #sides;
  #curtain;
  #prompt = element("p", { className: "dim" });
  #size = false;

  constructor(first, second) {
    this.#sides = [new Side(first), new Side(second)];
    this.#curtain = new Curtain(...this.#sides.map(({ frame }) => frame), "Share of the first picture that is shown");
    const legend = element("div", { className: "sides" }, ...this.#sides.map(({ legend }) => legend));
    this.node = element("section", { className: "stacked compare-page" }, element("h2", { textContent: "Compare", tabIndex: -1 }), this.#prompt, this.#curtain.node, legend);
  }

  async refresh() {
    const jobs = await Promise.all(this.#sides.map((side) => side.refresh()));
    set(this.#prompt, "textContent", promptOf(jobs[0]));
    if (!this.#size) this.#curtain.shape(jobs[0].request);
    this.#size = true;
  }

  event(event) {
    for (const side of this.#sides) side.event(event);
  }
}

class Side {
  frame = element("div", { className: "frame" });
  legend = element("div", { className: "card" });
  #id;
  #job = null;
  #cells = new Cells(this.frame);
  #name = element("a");
  #told = element("p", { className: "dim" });
  #advance = new Advance();

  constructor(id) {
    this.#id = id;
    this.#name.href = `#/jobs/${id}`;
    this.legend.append(element("strong", {}, this.#name), this.#told, this.#advance.node);
  }

  async refresh() {
    this.#show(await getJob(this.#id));
    return this.#job;
  }

  event(event) {
    if (event.job_id !== this.#id || !this.#job) return;
    if (event.type === "progress") this.#show({ ...this.#job, status: "running", progress: event });
    if (event.type === "preview") this.#cells.preview(event);
    if (event.type === "done" && event.job) this.#show(event.job);
  }

  #show(job) {
    this.#job = job;
    const { guidance } = job.request;
    set(this.#name, "textContent", guidance ? `Guided by ${guidance.clip}` : "Unguided");
    const [image] = job.images;
    set(this.#told, "textContent", image ? [`seed ${image.seed}`, ...scores(image)].join(" · ") : statusWords(job));
    this.#advance.show(job);
    this.#cells.show(job, 1);
  }
}
