// The candidates of a best-of-n job as they come, best first: those that are kept have a ring, and others can be kept too.

import { arrange, element, set } from "./dom.js";
import { pictureButton, scores } from "./pictures.js";

export class Candidates {
  #list = element("ol", { className: "candidates" });
  #told = element("p", { className: "dim" });
  #tiles = new Map(); // by the numbers of their pictures
  #onKeep;

  // `onKeep(job, candidate)` keeps one that was not chosen.
  constructor(onKeep) {
    this.#onKeep = onKeep;
    this.node = element("section", { className: "card", hidden: true }, element("h3", { textContent: "Candidates, best first" }), this.#told, this.#list);
  }

  show(job) {
    const { candidates = [], request } = job;
    set(this.node, "hidden", candidates.length === 0);
    if (this.node.hidden) return;
    const isOver = candidates.some(({ kept }) => kept !== null);
    const isLate = isOver && !candidates.some(({ kept, url }) => kept === false && url);
    const words = !isOver ? `${candidates.length} of ${request.num_images} made` : isLate ? "Those that were not kept are deleted." : "Those that were not kept are deleted a quarter of an hour after the end.";
    set(this.#told, "textContent", words);
    const best = [...candidates].sort((one, other) => other.score - one.score || one.index - other.index);
    arrange(this.#list, best.map((candidate) => this.#tile(job, candidate).node));
  }

  #tile(job, candidate) {
    if (!this.#tiles.has(candidate.index)) this.#tiles.set(candidate.index, new Tile(job, candidate, this.#onKeep));
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

  constructor(job, candidate, onKeep) {
    const { width, height } = job.request;
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
    const gone = element("span", { className: "glyph", ariaHidden: "true", textContent: "–" });
    const shown = url && element("img", { src: url, alt: `Candidate ${index + 1}`, loading: "lazy", decoding: "async", onload: ({ target }) => target.classList.toggle("small", target.naturalWidth <= 128) });
    this.#picture.replaceChildren(url ? element("a", { href: url, target: "_blank", rel: "noopener", title: `seed ${seed}` }, shown) : gone);
  }
}
