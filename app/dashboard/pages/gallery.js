// The finished pictures, newest first.

import { listJobs } from "../server/api.js";
import { arrange, element, set } from "../parts/dom.js";
import { inputButton, picture, scores } from "../parts/pictures.js";
import { promptOf } from "../parts/words.js";

const PAGE = 60;

export class Gallery {
  title = "Gallery";
  #grid = element("ul", { className: "gallery" });
  #empty = element("p", { className: "empty", hidden: true }, element("strong", { textContent: "No pictures yet" }), "They come here when their jobs have succeeded.");
  #more = element("button", { type: "button", className: "quiet", textContent: "Show more", hidden: true });
  #figures = new Map();
  #older = [];
  #cursor = undefined;

  #onUse;

  // `onUse` takes a picture to start the next run from.
  constructor(onUse) {
    this.#onUse = onUse;
    this.node = element("section", {}, element("h2", { textContent: "Gallery", tabIndex: -1 }), this.#empty, this.#grid, this.#more);
    this.#more.addEventListener("click", () => this.#next());
  }

  async refresh() {
    const page = await listJobs("succeeded", PAGE);
    if (this.#cursor === undefined) this.#cursor = page.next_cursor;
    const fresh = new Set(page.data.map(({ id }) => id));
    this.#draw([...page.data, ...this.#older.filter(({ id }) => !fresh.has(id))]);
  }

  async #next() {
    this.#more.disabled = true;
    try {
      const page = await listJobs("succeeded", PAGE, this.#cursor);
      this.#older.push(...page.data);
      this.#cursor = page.next_cursor;
    } finally {
      this.#more.disabled = false;
      await this.refresh();
    }
  }

  #draw(jobs) {
    const nodes = jobs.flatMap((job) => job.images.map((image) => this.#figure(job, image)));
    arrange(this.#grid, nodes);
    set(this.#empty, "hidden", nodes.length > 0);
    set(this.#more, "hidden", !this.#cursor);
  }

  #figure(job, image) {
    if (!this.#figures.has(image.url)) {
      const words = element("span", { className: "caption", textContent: promptOf(job) });
      const told = element("span", { className: "dim", textContent: [`seed ${image.seed}`, ...scores(image)].join(" · ") });
      const shown = picture(job, image);
      shown.alt = "";
      this.#figures.set(image.url, element("li", {}, element("a", { href: `#/jobs/${job.id}` }, shown, words, told), inputButton(job, image, this.#onUse)));
    }
    return this.#figures.get(image.url);
  }
}
