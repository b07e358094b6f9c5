// How far the result may be from the picture it starts from, as a slider with words.

import { element, set } from "../parts/dom.js";

const STANDARD = 0.8; // the API's default, which is not sent
const WORDS = [
  [0.3, "Stays close: only small details change."],
  [0.55, "Keeps shapes and colours, and redraws details."],
  [0.8, "Keeps the rough layout; things may become others."],
  [1, "Keeps little: rough shapes and colours at most."],
  [Infinity, "Keeps nothing: the run starts from pure noise."],
];

export class Strength {
  node;
  fault = null;
  #exact = STANDARD; // finer than the slider, if a request came with such a value
  #slider = element("input", { type: "range", id: "field-init.strength", min: 0.01, max: 1, step: 0.01, value: STANDARD });
  #words = element("p", { className: "hint", id: "field-init.strength-hint" });
  #number = element("output", { htmlFor: this.#slider.id });
  #error = element("p", { className: "field-error", id: "field-init.strength-error" });

  constructor() {
    this.#slider.setAttribute("aria-describedby", `${this.#words.id} ${this.#error.id}`);
    this.#slider.addEventListener("input", () => {
      this.#exact = Number(this.#slider.value);
      this.#tell();
    });
    const label = element("label", { htmlFor: this.#slider.id, textContent: "Strength" });
    this.node = element("div", { className: "field strength" }, element("div", { className: "line" }, label, this.#number), this.#slider, this.#words, this.#error);
    this.#tell();
  }

  read() {
    return this.#exact === STANDARD ? undefined : this.#exact;
  }

  write(value) {
    this.#exact = value ?? STANDARD;
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
    set(this.#words, "textContent", WORDS.find(([below]) => this.#exact < below)[1]);
  }
}
