// The candidates of a best-of-n job so far, best first, with the scores that rank them.

import { element } from "./dom.js";
import { scores } from "./pictures.js";

export class Candidates {
  #list = element("ol", { className: "candidates" });
  #shown = "";

  constructor() {
    this.node = element("section", { className: "card", hidden: true }, element("h3", { textContent: "Candidates, best first" }), this.#list);
  }

  show(candidates) {
    const key = JSON.stringify(candidates);
    // Lines are made anew, which must not take the focus from one of their links.
    if (key === this.#shown || this.#list.contains(document.activeElement)) return;
    this.#shown = key;
    this.node.hidden = candidates.length === 0;
    this.#list.replaceChildren(...[...candidates].sort((a, b) => b.score - a.score).map(line));
  }
}

function line(candidate) {
  const words = `seed ${candidate.seed}`;
  const name = candidate.url ? element("a", { href: candidate.url, target: "_blank", rel: "noopener", textContent: words }) : words;
  const told = [...scores(candidate), `score ${candidate.score.toFixed(2)}`, ...(candidate.kept ? ["kept"] : [])];
  return element("li", { className: candidate.kept ? "kept" : "" }, name, ` · ${told.join(" · ")}`);
}
