// The dialog in which a mask is painted over a picture.

import { element, set } from "../parts/dom.js";
import { Brush } from "./brush.js";
import { layerFor } from "./layer.js";

const KEYS = "Keys: arrows move the brush, Space paints, Shift with an arrow paints along the way, [ and ] change the size, E erases, Ctrl+Z undoes.";

// Paint over a picture, from a mask if there is one. The painted layer; null if the dialog was left.
export function paint(picture, mask = null) {
  return new Painter(picture, mask).result;
}

class Painter {
  result;
  #layer;
  #brush;
  #size;
  #told = element("p", { className: "dim", role: "status" });
  #undo = button("Undo", () => this.#change(() => this.#layer.undo()));
  #modes = [button("Paint", () => this.#erase(false)), button("Erase", () => this.#erase(true))];
  #dialog = element("dialog", { className: "painter", tabIndex: -1 }); // a press beside its controls keeps the keys in it
  #left = false;

  constructor(picture, mask) {
    this.#layer = layerFor(picture);
    if (mask) this.#layer.load(mask);
    const { width, height } = this.#layer.canvas;
    const most = Math.max(2, Math.round(Math.min(width, height) / 2));
    this.#size = element("input", { type: "range", id: "brush-size", min: 1, max: most, value: Math.max(1, Math.round(most / 3)) });
    this.#size.addEventListener("input", () => this.#resize());
    picture.alt = "";
    picture.className = picture.naturalWidth <= 128 ? "small" : "";
    this.#brush = new Brush(this.#layer, picture, Number(this.#size.value), () => this.#tell());
    this.#layer.canvas.setAttribute("aria-describedby", "painter-keys");
    this.#build();
    this.#erase(false);
    this.#resize();
    this.#tell();
    this.result = new Promise((resolve) => this.#open(resolve));
  }

  #build() {
    const size = element("div", { className: "size" }, element("label", { htmlFor: "brush-size", textContent: "Brush size" }), this.#size);
    const invert = button("Invert", () => this.#change(() => this.#layer.invert()));
    const clear = button("Clear", () => this.#change(() => this.#layer.clear()));
    const modes = element("div", { className: "modes", role: "group", ariaLabel: "What the brush does" }, ...this.#modes);
    const tools = element("div", { className: "tools", role: "toolbar", ariaLabel: "Tools" }, modes, size, this.#undo, invert, clear);
    const cancel = button("Cancel", () => this.#dialog.close());
    const keep = button("Use this mask", () => this.#dialog.close("kept"));
    keep.className = "primary";
    const title = element("h2", { id: "painter-title", textContent: "Paint a mask" });
    this.#dialog.setAttribute("aria-labelledby", title.id);
    this.#dialog.append(
      title,
      element("p", { className: "dim", textContent: "What you paint over is drawn anew. The rest of the picture stays as it is." }),
      this.#brush.node,
      tools,
      element("div", { className: "actions" }, this.#told, cancel, keep),
      element("p", { className: "dim keys", id: "painter-keys", textContent: KEYS }),
    );
  }

  #open(resolve) {
    this.#dialog.addEventListener("keydown", (event) => this.#key(event));
    this.#dialog.addEventListener("cancel", (event) => this.#leave(event));
    this.#dialog.addEventListener("close", () => {
      this.#dialog.remove();
      resolve(this.#dialog.returnValue === "kept" ? this.#layer : null);
    });
    document.body.append(this.#dialog);
    this.#dialog.showModal();
    this.#layer.canvas.focus();
  }

  // One press of Escape must not lose a painted mask.
  #leave(event) {
    if (this.#layer.isUntouched || this.#left) return;
    event.preventDefault();
    this.#left = true;
    this.#told.textContent = "Press Escape again to leave without this mask.";
  }

  #key(event) {
    const isUndo = (event.ctrlKey || event.metaKey) && event.key === "z";
    const act = isUndo ? () => this.#undo.click() : event.ctrlKey || event.metaKey || event.altKey ? null : this.#shortcuts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #shortcuts = {
    e: () => this.#erase(!this.#brush.erases),
    "[": () => this.#grow(-1),
    "]": () => this.#grow(1),
  };

  #grow(sign) {
    this.#size.value = Number(this.#size.value) + sign * Math.max(1, Math.round(this.#size.max / 12));
    this.#resize();
  }

  #resize() {
    this.#brush.size = Number(this.#size.value);
    this.#size.setAttribute("aria-valuetext", `${this.#size.value} pixels`);
  }

  #erase(erases) {
    this.#brush.erases = erases;
    this.#modes.forEach((mode, index) => (mode.ariaPressed = String(Boolean(index) === erases)));
  }

  #change(act) {
    act();
    this.#tell();
  }

  #tell() {
    const { share } = this.#layer;
    this.#left = false;
    set(this.#undo, "ariaDisabled", String(this.#layer.isUntouched));
    set(this.#told, "textContent", share === 0 ? "Nothing is painted yet." : `${percent(share)} of the picture is painted.`);
  }
}

export const percent = (share) => (share < 0.01 ? "Less than 1 %" : `${Math.round(100 * share)} %`);

function button(words, act) {
  const made = element("button", { type: "button", textContent: words });
  made.addEventListener("click", () => made.ariaDisabled !== "true" && act());
  return made;
}
