// The priority of what waits: a button for each, of which the present one is pressed.

import { element, once } from "../parts/dom.js";

const PRIORITIES = [["low", "Low"], ["normal", "Normal"], ["high", "High"]];

export class PriorityChoice {
  node;
  #buttons;

  // `onChoose` gets the name of a priority; its answer is waited for.
  constructor(onChoose) {
    this.#buttons = PRIORITIES.map(([name, textContent]) => {
      const button = element("button", { type: "button", textContent, value: name });
      button.addEventListener("click", () => once(this.node, () => onChoose(name)));
      return button;
    });
    const label = element("span", { className: "dim", ariaHidden: "true", textContent: "Priority" });
    this.node = element("div", { className: "priority", role: "group", ariaLabel: "Priority", hidden: true }, label, element("span", { className: "modes" }, ...this.#buttons));
  }

  // Show what waiting jobs have; nothing for none of them.
  show(jobs) {
    this.node.hidden = jobs.length === 0;
    const held = new Set(jobs.map(({ request }) => request.priority ?? "normal"));
    for (const button of this.#buttons) button.ariaPressed = String(held.size === 1 && held.has(button.value));
  }
}

// Tasks make no pictures, and have no priority.
export const canHavePriority = ({ status, request }) => status === "queued" && request.kind === undefined;
