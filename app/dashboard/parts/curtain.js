// Two frames, one over the other: a slider uncovers the second. Other modes lay them beside each other, show one at a
// time, or their difference.

import { element } from "./dom.js";
import { SMALL_PX } from "./pictures.js";

export class Curtain {
  node = element("div", { className: "compare" });
  #slider = element("input", { type: "range", min: 0, max: 100, value: 50 });

  constructor(first, second, label) {
    this.#slider.ariaLabel = label;
    this.node.append(first, second, element("div", { className: "edge", ariaHidden: "true" }), this.#slider);
    this.#slider.addEventListener("input", () => this.node.style.setProperty("--share", `${this.#slider.value}%`));
    this.mode = "slider";
  }

  // Take the shape of a picture.
  shape({ width, height }) {
    this.node.style.setProperty("--ratio", `${width} / ${height}`);
    this.node.style.setProperty("--px", `${width <= SMALL_PX ? width : 1}px`); // see asSquares
  }

  // "slider", "side", "flicker" or "difference".
  set mode(name) {
    this.node.dataset.mode = name;
    this.#slider.hidden = name !== "slider";
  }
}
