// How many pixels are added on each side of the picture, and painted (outpainting).

import { element, set } from "../parts/dom.js";
import { Control } from "./control.js";

const SIDES = [["left", "Left"], ["right", "Right"], ["up", "Above"], ["down", "Below"]];
const NONE = "Pixels to add on each side. They are painted; the picture itself stays as it is.";

export class Around {
  node;
  controls; // by the dotted names of their fields
  #result = element("p", { className: "hint", role: "status" });

  constructor() {
    const made = SIDES.map(([name, label]) => [name, new Control({ path: `outpaint.${name}`, kind: "integer", label, description: "", minimum: 0, default: 0 })]);
    this.controls = new Map(made.map(([name, control]) => [`outpaint.${name}`, control]));
    const sides = element("div", { className: "sides-of" }, ...made.map(([, { node }]) => node));
    this.node = element("details", { className: "around" }, element("summary", { textContent: "Paint around it" }), sides, this.#result);
  }

  // Pixels to add, by side.
  get sides() {
    return Object.fromEntries(SIDES.map(([name]) => [name, Math.max(0, this.controls.get(`outpaint.${name}`).read() ?? 0)]));
  }

  get isUsed() {
    return Object.values(this.sides).some((px) => px > 0);
  }

  clear() {
    for (const control of this.controls.values()) {
      control.write(undefined);
      control.error = "";
    }
  }

  // Say what a picture of this size becomes.
  show({ width, height } = {}) {
    const { left, right, up, down } = this.sides;
    if (this.isUsed) this.node.open = true;
    const words = `${width} × ${height} becomes ${left + width + right} × ${up + height + down} pixels.`;
    set(this.#result, "textContent", this.isUsed && width ? words : NONE);
  }
}
