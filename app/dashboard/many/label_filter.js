// The field that keeps the jobs of one label, in the list and in the gallery.

import { element, set } from "../parts/dom.js";
import { setAddress } from "../sweeps/plan.js";

let made = 0; // fields so far, each of which has an id of its own

export class LabelFilter {
  node;
  #input = element("input", { type: "search", autocomplete: "off", maxLength: 100, placeholder: "any label" });
  #known = element("datalist");
  #pictures = element("a", { textContent: "As pictures" });
  #labels = new Set();

  // `onChoose` gets a label, or null for all jobs.
  constructor(onChoose) {
    made += 1;
    this.#input.id = `label-${made}`;
    this.#known.id = `labels-${made}`;
    this.#input.setAttribute("list", this.#known.id);
    this.#input.addEventListener("change", () => onChoose(this.#input.value.trim() || null));
    this.#pictures.hidden = true;
    this.node = element("div", { className: "label-filter", hidden: true }, element("label", { htmlFor: this.#input.id, textContent: "Label" }), this.#input, this.#known, this.#pictures);
  }

  set chosen(label) {
    if (document.activeElement !== this.#input) set(this.#input, "value", label ?? "");
    set(this.#pictures, "hidden", label === null);
    if (label !== null) this.#pictures.href = setAddress(label);
    this.#show();
  }

  // Offer these labels too.
  know(labels) {
    const more = labels.filter((label) => !this.#labels.has(label));
    for (const label of new Set(more)) {
      this.#labels.add(label);
      this.#known.append(element("option", { value: label }));
    }
    this.#show();
  }

  // Where no job has a label, there is nothing to choose.
  #show() {
    set(this.node, "hidden", this.#labels.size === 0 && this.#pictures.hidden);
  }
}
