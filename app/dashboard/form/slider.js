// A number from 0 to 1 as a slider, with words that say what a value does.

import { element, prose, set } from "../parts/dom.js";

// For each field: up to which value which words hold.
const WORDS = {
  "init.strength": [
    [0.3, "Stays close: only small details change."],
    [0.55, "Keeps shapes and colours, and redraws details."],
    [0.8, "Keeps the rough layout; things may become others."],
    [1, "Keeps little: rough shapes and colours at most."],
    [Infinity, "Keeps nothing: the run starts from pure noise."],
  ],
  "hires.strength": [
    [0.3, "Sharpens the enlarged picture; interpolated latents stay blurred."],
    [0.5, "Draws details anew; interpolated latents stay blurred."],
    [0.8, "Draws details anew, and keeps the composition."],
    [1, "Keeps little of the first pass."],
    [Infinity, "Keeps nothing of the first pass."],
  ],
  "variation.strength": [
    [0.005, "The picture of the seed itself."],
    [0.15, "Nearly the picture of the seed."],
    [0.4, "Resembles the picture of the seed."],
    [1, "Between the pictures of two seeds."],
    [Infinity, "The picture of the other seed."],
  ],
};

export class Slider {
  node;
  fault = null;
  #path;
  #standard; // the API's default, which is not sent; none if the field is needed
  #exact; // finer than the slider, if a request came with such a value
  #slider;
  #words;
  #number;
  #error;

  // A field of a schema. A strength that must be above 0 begins at 0.01.
  constructor(field) {
    const { path, label, description = "", example, default: standard, excludes0 = false } = field;
    this.field = { maximum: 1, minimum: 0, kind: "share", ...field };
    const id = `field-${path}`;
    this.#path = path;
    this.#standard = standard;
    this.#slider = element("input", { type: "range", id, min: excludes0 ? 0.01 : 0, max: 1, step: 0.01 });
    this.#number = element("output", { htmlFor: id });
    this.#words = element("p", { className: "hint", id: `${id}-hint` }, ...(WORDS[path] ? [] : prose(description)));
    this.#error = element("p", { className: "field-error", id: `${id}-error` });
    this.#slider.setAttribute("aria-describedby", `${this.#words.id} ${this.#error.id}`);
    this.#slider.addEventListener("input", () => {
      this.#exact = Number(this.#slider.value);
      this.#tell();
    });
    const line = element("div", { className: "line" }, element("label", { htmlFor: id, textContent: label }), this.#number);
    this.node = element("div", { className: "field strength" }, line, this.#slider, this.#words, this.#error);
    this.#first = standard ?? example;
    this.write(undefined);
  }

  #first;

  read() {
    return this.#exact === this.#standard ? undefined : this.#exact;
  }

  write(value) {
    this.#exact = value ?? this.#first;
    this.#slider.value = this.#exact;
    this.#tell();
  }

  focus() {
    this.#slider.focus();
  }

  set error(message) {
    set(this.#error, "textContent", message);
    set(this.#slider, "ariaInvalid", message ? "true" : "false");
  }

  #tell() {
    set(this.#number, "textContent", String(this.#exact));
    const words = WORDS[this.#path]?.find(([below]) => this.#exact < below)[1];
    if (words) set(this.#words, "textContent", words);
  }
}
