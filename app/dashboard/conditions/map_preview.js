// The map that a control would read, made by the server when it is asked for.

import { element, set } from "../parts/dom.js";
import { detectMap, reasonOf } from "../server/api.js";

export class MapPreview {
  node;
  #button = element("button", { type: "button", textContent: "Show the map" });
  #canvas = element("canvas", { role: "img", ariaLabel: "The map that the control reads", className: "input-shown", hidden: true });
  #error = element("p", { className: "field-error", role: "alert" });

  // `fields()` says how it is made: the fields of a `MapRequest`.
  constructor(fields) {
    this.#button.addEventListener("click", () => this.#show(fields()));
    this.node = element("div", { className: "picture-input" }, this.#canvas, this.#button, this.#error);
  }

  async #show(fields) {
    this.#error.textContent = "";
    if (!fields.image) return (this.#error.textContent = "Choose a picture first.");
    this.#button.ariaDisabled = "true";
    try {
      // On a canvas: the page may load pictures from its server alone, and this one has no address there.
      const map = await createImageBitmap(await detectMap(fields));
      Object.assign(this.#canvas, { width: map.width, height: map.height });
      this.#canvas.getContext("2d").drawImage(map, 0, 0);
      this.#canvas.classList.toggle("small", map.width <= 128);
      this.#canvas.hidden = false;
      set(this.#button, "textContent", "Show the map anew");
    } catch (error) {
      this.#error.textContent = reasonOf(error);
    } finally {
      this.#button.ariaDisabled = "false";
    }
  }
}
