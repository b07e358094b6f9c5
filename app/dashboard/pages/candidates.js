// The candidates of a best-of-n job as they come, best first: those that are kept have a ring, and others can be kept too.

import { arrange, element, set } from "../parts/dom.js";
import { openPictures } from "../parts/lightbox.js";
import { asSquares, pictureButton, scores } from "../parts/pictures.js";

const ORDERS = { score: "Rank", clip_score: "CLIP", aesthetic_score: "Aesthetic" };

export class Candidates {
  #list = element("ol", { className: "candidates" });
  #told = element("p", { className: "dim" });
  #orders = element("span", { className: "filters", role: "group", ariaLabel: "Order of the candidates" });
  #order = "score";
  #job = null;
  #tiles = new Map(); // by the numbers of their pictures
  #onKeep;

  // `onKeep(job, candidate)` keeps one that was not chosen.
  constructor(onKeep) {
    this.#onKeep = onKeep;
    for (const [name, textContent] of Object.entries(ORDERS)) {
      const button = element("button", { type: "button", textContent, value: name });
      button.addEventListener("click", () => {
        this.#order = name;
        this.show(this.#job);
      });
      this.#orders.append(button);
    }
    const line = element("div", { className: "line" }, this.#told, this.#orders);
    this.node = element("section", { className: "card", hidden: true }, element("h3", { textContent: "Candidates, best first" }), line, this.#list);
  }

  show(job) {
    const { candidates = [], request } = job;
    set(this.node, "hidden", candidates.length === 0);
    if (this.node.hidden) return;
    const isOver = candidates.some(({ kept }) => kept !== null);
    const isLate = isOver && !candidates.some(({ kept, url }) => kept === false && url);
    const words = !isOver ? `${candidates.length} of ${request.num_images} made` : isLate ? "Those that were not kept are deleted." : "Those that were not kept are deleted a quarter of an hour after the end.";
    set(this.#told, "textContent", words);
    this.#job = job;
    for (const button of this.#orders.children) {
      set(button, "ariaPressed", String(button.value === this.#order));
      set(button, "hidden", candidates.every((one) => typeof one[button.value] !== "number"));
    }
    arrange(this.#list, this.#ranked().map((candidate) => this.#tile(job, candidate).node));
  }

  // The candidates in the order that is chosen, the best first.
  #ranked() {
    const of = (candidate) => candidate[this.#order] ?? -Infinity;
    return [...this.#job.candidates].sort((one, other) => of(other) - of(one) || one.index - other.index);
  }

  // Enlarge one; its neighbours are those that are still there.
  #enlarge(index) {
    const { width, height } = this.#job.request;
    const there = this.#ranked().filter(({ url }) => url);
    openPictures(there.map((image) => ({ job: this.#job, image: { width, height, ...image } })), there.findIndex((one) => one.index === index));
  }

  #tile(job, candidate) {
    if (!this.#tiles.has(candidate.index)) this.#tiles.set(candidate.index, new Tile(job, candidate, this.#onKeep, (index) => this.#enlarge(index)));
    const tile = this.#tiles.get(candidate.index);
    tile.show(candidate);
    return tile;
  }
}

class Tile {
  node = element("li");
  #picture = element("span", { className: "frame" });
  #words = element("span", { className: "cell-words" });
  #keep;
  #onEnlarge;

  constructor(job, candidate, onKeep, onEnlarge) {
    const { width, height } = job.request;
    this.#onEnlarge = onEnlarge;
    this.#picture.style.aspectRatio = `${width} / ${height}`;
    this.#keep = pictureButton("Keep this too", job, candidate, onKeep);
    this.node.append(this.#picture, this.#words, this.#keep);
  }

  show(candidate) {
    const { kept, seed, score, url } = candidate;
    this.node.classList.toggle("kept", kept === true);
    if (this.#picture.dataset.url !== String(url)) this.#load(candidate);
    const told = [`seed ${seed}`, ...scores(candidate), `score ${score.toFixed(2)}`, ...(kept ? ["kept"] : [])];
    set(this.#words, "textContent", told.join(" · "));
    set(this.#keep, "hidden", kept !== false || !url);
  }

  #load({ index, seed, url }) {
    this.#picture.dataset.url = String(url);
    if (!url) return this.#picture.replaceChildren(element("span", { className: "glyph", ariaHidden: "true", textContent: "–" }));
    const shown = element("img", { src: url, alt: `Candidate ${index + 1}`, loading: "lazy", decoding: "async", onload: ({ target }) => asSquares(target, target.naturalWidth) });
    const link = element("a", { href: url, title: `seed ${seed}` }, shown);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own is asked for
      event.preventDefault();
      this.#onEnlarge(index);
    });
    this.#picture.replaceChildren(link);
  }
}
