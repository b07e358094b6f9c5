// The nights, and a form that begins one.

import { beginNight, listNights, newKey, reasonOf } from "../server/api.js";
import { copyBox } from "../parts/copy.js";
import { element, once, set } from "../parts/dom.js";
import { picture } from "../parts/pictures.js";
import { promptOf } from "../parts/words.js";
import { asJob, isOpen, soFar, stateOf } from "./words.js";

const COMMAND = 'lodestar night "a red apple" --hours 8 --keep 5%';

export class NightList {
  title = "Nights";
  #prompt = element("textarea", { id: "night-prompt", rows: 2, maxLength: 4000, required: true });
  #hours = element("input", { id: "night-hours", type: "number", min: 0.01, max: 24, step: "any", value: 8, required: true });
  #keep = element("input", { id: "night-keep", type: "text", value: "5%", required: true });
  #guide = element("input", { type: "checkbox", checked: true });
  #upscale = element("input", { type: "checkbox", checked: true });
  #said = element("p", { className: "field-error", role: "alert" });
  #begin = element("button", { type: "submit", className: "primary", textContent: "Begin" });
  #list = element("ul", { className: "nights" });
  #empty = element("div", { className: "empty", hidden: true }, element("strong", { textContent: "No nights yet" }), "From a terminal, with any field of a request:", copyBox(COMMAND, "the command"));
  #nights = [];
  #shown = "";

  constructor() {
    const field = (words, input, hint) => {
      const told = element("p", { className: "hint", id: `${input.id}-hint`, textContent: hint });
      input.setAttribute("aria-describedby", told.id);
      return element("div", { className: "field" }, element("label", { htmlFor: input.id, textContent: words }), input, told);
    };
    const check = (box, words) => element("label", { className: "switch" }, box, words);
    const numbers = element("div", { className: "line" }, field("Hours", this.#hours, "up to 24"), field("Keep", this.#keep, "a number, or a share as 5%"), check(this.#guide, "CLIP guidance"), check(this.#upscale, "Enlarge the kept by 4"), this.#begin);
    const form = element("form", { className: "card night-form", ariaLabel: "New night", noValidate: true }, field("Prompt", this.#prompt, "The service draws it again and again, each time with another seed, until the time is over, and keeps the best."), numbers, this.#said);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      once(this.#begin, () => this.#submit());
    });
    this.node = element("section", { className: "stacked" }, element("h2", { textContent: "Nights", tabIndex: -1 }), form, this.#empty, this.#list);
  }

  async refresh() {
    const { data } = await listNights();
    this.#nights = data;
    set(this.#empty, "hidden", data.length > 0);
    const told = JSON.stringify(data.map(({ left_s: _, ...night }) => night));
    // The rows are made anew, which must not take the focus from one.
    if (told === this.#shown || this.#list.contains(document.activeElement)) return;
    this.#shown = told;
    this.#list.replaceChildren(...data.map(row));
  }

  tick() {
    this.#nights.forEach((night, place) => {
      const badge = this.#list.children[place]?.querySelector(".badge");
      if (badge && isOpen(night)) set(badge, "textContent", stateOf(night));
    });
  }

  async #submit() {
    this.#said.textContent = "";
    const request = { prompt: this.#prompt.value.trim(), ...(this.#guide.checked && { guidance: {} }) };
    try {
      if (!request.prompt) throw new Error("empty");
      const keep = this.#keep.value.trim();
      const { id } = await beginNight({ request, hours: Number(this.#hours.value), keep: /^\d+$/.test(keep) ? Number(keep) : keep, upscale: this.#upscale.checked }, newKey());
      location.hash = `#/nights/${id}`;
    } catch (error) {
      this.#said.textContent = request.prompt ? reasonOf(error) : "Describe the picture first.";
      if (!request.prompt) this.#prompt.focus();
    }
  }
}

function row(night) {
  const best = night.kept.map((kept) => {
    const job = asJob(night, kept);
    return Object.assign(picture(job, job.images[0]), { alt: "" });
  });
  const words = element("span", {}, element("strong", { textContent: promptOf(night) }), element("span", { className: "badge", textContent: stateOf(night) }), element("span", { className: "dim", textContent: soFar(night) }));
  const made = element("li", { className: "card" }, element("a", { href: `#/nights/${night.id}` }, element("span", { className: "best" }, ...best), words));
  made.dataset.status = night.status;
  return made;
}
