// A button that acts at its second click.

import { element, once, set } from "../parts/dom.js";

const SURE_MS = 6000; // in which the second click counts

export class Sure {
  node = element("button", { type: "button", hidden: true });
  #words;
  #isSure = false;
  #timer = 0;
  #number = 0;

  // `words(number, isSure)` is what it says of so many; `act` is what it does.
  constructor(words, act) {
    this.#words = words;
    const pressed = async () => {
      if (this.#number === 0) return;
      clearTimeout(this.#timer);
      if (!this.#isSure) {
        this.#ask(true);
        this.#timer = setTimeout(() => this.#ask(false), SURE_MS);
        return;
      }
      this.#ask(false);
      await act();
    };
    this.node.addEventListener("click", () => once(this.node, pressed));
  }

  // Offer it for so many; not at all for none.
  tell(number) {
    this.#number = number;
    set(this.node, "hidden", number === 0);
    set(this.node, "textContent", this.#words(number, this.#isSure));
  }

  #ask(isSure) {
    this.#isSure = isSure;
    this.node.classList.toggle("sure", isSure);
    this.tell(this.#number);
  }
}
