// What keeps the pictures of one model or size, the guided ones or the others: among those that are loaded.

import { element } from "../parts/dom.js";

const GUIDED = { "": "Guided or not", yes: "Guided", no: "Not guided" };

export class GalleryFilter {
  node;
  #model = choice("gallery-model", "Model", { "": "Any model" });
  #size = choice("gallery-size", "Size", { "": "Any size" });
  #guided = choice("gallery-guided", "Guidance", GUIDED);

  constructor(changed) {
    this.node = element("div", { className: "sorting" }, ...[this.#model, this.#size, this.#guided].flat());
    this.node.addEventListener("change", changed);
  }

  // Offer what these jobs have.
  know(jobs) {
    offer(this.#model[1], jobs.map(({ request }) => request.model));
    offer(this.#size[1], jobs.flatMap(({ images }) => images.map(sizeOf)));
  }

  fits({ job: { request }, image }) {
    const [model, size, guided] = [this.#model, this.#size, this.#guided].map(([, select]) => select.value);
    return (!model || request.model === model) && (!size || sizeOf(image) === size) && (!guided || (guided === "yes") === Boolean(request.guidance));
  }

  get isUsed() {
    return [this.#model, this.#size, this.#guided].some(([, select]) => select.value !== "");
  }
}

const sizeOf = ({ width, height }) => `${width} × ${height}`;

// A select with its label.
function choice(id, label, options) {
  const made = Object.entries(options).map(([value, textContent]) => element("option", { value, textContent }));
  return [element("label", { htmlFor: id, className: "visually-hidden", textContent: label }), element("select", { id }, ...made)];
}

function offer(select, values) {
  const known = new Set([...select.options].map(({ value }) => value));
  for (const value of new Set(values)) if (value && !known.has(value)) select.append(element("option", { value, textContent: value }));
}
