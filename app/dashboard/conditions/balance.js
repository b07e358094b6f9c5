// By which scores a choice ranks: two sliders, for the likeness to the prompt and for the aesthetic score.

import { element, set } from "../parts/dom.js";

const SCORES = [["clip", "Likeness to the prompt"], ["aesthetic", "Aesthetic score"]];
const STANDARD = { clip: 1, aesthetic: 0 };

export class Balance {
  node;
  #exact = { ...STANDARD }; // finer than the sliders, or outside of them, if a request came with such values
  #sliders;
  #numbers;
  #words;
  #error;

  constructor(field) {
    this.field = field;
    const id = `field-${field.path}`;
    this.#words = element("p", { className: "hint", id: `${id}-hint` });
    this.#error = element("p", { className: "field-error", id: `${id}-error` });
    this.#numbers = SCORES.map(([name]) => element("output", { htmlFor: `${id}.${name}` }));
    this.#sliders = SCORES.map(([name], index) => {
      const slider = element("input", { type: "range", id: `${id}.${name}`, min: 0, max: 1, step: 0.05 });
      slider.setAttribute("aria-describedby", `${this.#words.id} ${this.#error.id}`);
      slider.addEventListener("input", () => {
        this.#exact[name] = Number(slider.value);
        this.#tell();
      });
      return element("div", { className: "strength" }, element("div", { className: "line" }, element("label", { htmlFor: slider.id, textContent: SCORES[index][1] }), this.#numbers[index]), slider);
    });
    this.node = element("fieldset", { id, className: "field balance" }, element("legend", { textContent: field.label }), ...this.#sliders, this.#words, this.#error);
    this.write(undefined);
  }

  get fault() {
    return SCORES.every(([name]) => this.#exact[name] === 0) ? "At least one weight must not be 0." : null;
  }

  read() {
    const { clip, aesthetic } = this.#exact;
    if (clip === STANDARD.clip && aesthetic === STANDARD.aesthetic) return undefined;
    return { clip, aesthetic };
  }

  write(value) {
    const named = value === "clip" || value === "aesthetic" ? { [value]: 1 } : value;
    this.#exact = named ? { clip: 0, aesthetic: 0, ...named } : { ...STANDARD };
    SCORES.forEach(([name], index) => (this.#sliders[index].lastChild.value = this.#exact[name]));
    this.#tell();
  }

  focus() {
    this.#sliders[0].lastChild.focus();
  }

  set error(message) {
    set(this.#error, "textContent", message);
    for (const one of this.#sliders) set(one.lastChild, "ariaInvalid", message ? "true" : "false");
  }

  #tell() {
    const { clip, aesthetic } = this.#exact;
    SCORES.forEach(([name], index) => set(this.#numbers[index], "textContent", String(this.#exact[name])));
    const words = this.fault ?? (aesthetic === 0 ? "The nearest to the prompt are kept." : clip === 0 ? "The most beautiful are kept, as a predictor guesses it." : "Each score counts by how far it stands out among the candidates.");
    set(this.#words, "textContent", words);
  }
}
