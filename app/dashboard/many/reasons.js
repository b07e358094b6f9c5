// Why the jobs of the list have failed: a button for each reason, with the number of its jobs.

import { listFailures } from "../server/api.js";
import { arrange, element, set } from "../parts/dom.js";

export class Reasons {
  node = element("div", { className: "reasons", role: "group", ariaLabel: "Show failures of one reason", hidden: true });
  #buttons = new Map();
  #bound = element("span", { className: "dim" });
  #onChoose;

  // `onChoose` gets the type of an error, or null for all.
  constructor(onChoose) {
    this.#onChoose = onChoose;
  }

  // Count the failures that `filters` leave, of which `chosen` are listed; null hides the buttons.
  async refresh(filters, chosen) {
    const { data, looked_to: end } = filters === null ? { data: [] } : await listFailures(filters);
    const types = data.map(({ type }) => type);
    if (chosen && filters !== null && !types.includes(chosen)) types.push(chosen); // it can be unchosen
    const numbers = new Map(data.map(({ type, jobs }) => [type, jobs]));
    const nodes = types.map((type) => this.#button(type, numbers.get(type) ?? 0, type === chosen));
    set(this.#bound, "textContent", end ? `since ${new Date(end).toLocaleString()}` : "");
    arrange(this.node, [...nodes, this.#bound]);
    set(this.node, "hidden", types.length === 0);
  }

  #button(type, number, isChosen) {
    if (!this.#buttons.has(type)) {
      const count = element("span", { className: "count" });
      const button = element("button", { type: "button" }, type.replaceAll("_", " "), " ", count);
      button.addEventListener("click", () => this.#onChoose(button.ariaPressed === "true" ? null : type));
      this.#buttons.set(type, { button, count });
    }
    const { button, count } = this.#buttons.get(type);
    set(count, "textContent", String(number));
    set(button, "ariaPressed", String(isChosen));
    return button;
  }
}
