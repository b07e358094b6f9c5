// How the list of jobs is shown: as cards or as a table, and whether what makes no pictures is left out.

import { element } from "../parts/dom.js";

const KEPT = "lodestar-view";

// What this browser showed last.
export const kept = {
  get view() {
    try {
      return localStorage.getItem(KEPT);
    } catch {
      return null; // of a browser that keeps nothing
    }
  },
  set view(name) {
    try {
      localStorage.setItem(KEPT, name ?? "cards");
    } catch {
      // it is known by the address
    }
  },
};

export class ViewChoice {
  node;
  #cards = element("button", { type: "button", textContent: "Cards" });
  #table = element("button", { type: "button", textContent: "Table" });
  #pictures = element("button", { type: "button", textContent: "Pictures only", title: "Without scores, embeddings and searches" });

  // `onView` gets "table", or "cards"; `onKind` "pictures", or null for all jobs.
  constructor(onView, onKind) {
    this.#cards.addEventListener("click", () => onView("cards"));
    this.#table.addEventListener("click", () => onView("table"));
    this.#pictures.addEventListener("click", () => onKind(this.#pictures.ariaPressed === "true" ? null : "pictures"));
    const shape = element("div", { className: "modes", role: "group", ariaLabel: "Show the jobs as" }, this.#cards, this.#table);
    this.node = element("div", { className: "views" }, this.#pictures, shape);
  }

  show(view, kind) {
    this.#table.ariaPressed = String(view === "table");
    this.#cards.ariaPressed = String(view !== "table");
    this.#pictures.ariaPressed = String(kind === "pictures");
  }
}
