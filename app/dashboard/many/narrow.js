// The fields that keep the jobs of a text, a model, a time and a caller.

import { getModels, serverNow } from "../server/api.js";
import { element, set } from "../parts/dom.js";

const HOUR_MS = 3600_000;
const AGES = { "1h": HOUR_MS, "24h": 24 * HOUR_MS, "7d": 168 * HOUR_MS };
const TIMES = [
  ["", "any time"],
  ["since=1h", "in the last hour"],
  ["since=24h", "in the last 24 hours"],
  ["since=7d", "in the last 7 days"],
  ["until=24h", "more than 24 hours ago"],
  ["until=7d", "more than 7 days ago"],
];
export const NAMES = ["q", "model", "since", "until", "error", "caller"];

export class Narrow {
  node;
  #text = element("input", { type: "search", autocomplete: "off", maxLength: 200, placeholder: "text in the prompt", ariaLabel: "Text in the prompt" });
  #model = element("select", { ariaLabel: "Model" }, element("option", { value: "", textContent: "any model" }));
  #time = element("select", { ariaLabel: "Submitted" }, ...TIMES.map(([value, textContent]) => element("option", { value, textContent })));
  #caller = element("button", { type: "button", className: "of-caller", hidden: true });
  #clear = element("button", { type: "button", textContent: "Clear", hidden: true });

  // `onChoose` gets what has changed, by the names of the address.
  constructor(onChoose) {
    this.#text.addEventListener("change", () => onChoose({ q: this.#text.value.trim() || null }));
    this.#model.addEventListener("change", () => onChoose({ model: this.#model.value || null }));
    this.#time.addEventListener("change", () => onChoose({ since: null, until: null, ...Object.fromEntries(new URLSearchParams(this.#time.value)) }));
    this.#caller.addEventListener("click", () => {
      onChoose({ caller: null });
      this.#text.focus();
    });
    this.#clear.addEventListener("click", () => {
      onChoose({ ...Object.fromEntries(NAMES.map((name) => [name, null])), label: null });
      this.#text.focus();
    });
    this.node = element("div", { className: "narrow", role: "search", ariaLabel: "Find jobs" }, this.#text, this.#model, this.#time, this.#caller, this.#clear);
    getModels().then(
      (models) => this.#offer(models.map(({ id }) => id)),
      () => {}, // the others find jobs too
    );
  }

  // Show what the address asks for.
  show(chosen) {
    if (document.activeElement !== this.#text) set(this.#text, "value", chosen.q ?? "");
    this.#offer(chosen.model ? [chosen.model] : []);
    set(this.#model, "value", chosen.model ?? "");
    const [name] = ["since", "until"].filter((each) => chosen[each]);
    const time = name ? `${name}=${chosen[name]}` : "";
    if (![...this.#time.options].some(({ value }) => value === time)) this.#time.append(element("option", { value: time, textContent: `${name} ${chosen[name]}` }));
    set(this.#time, "value", time);
    set(this.#caller, "hidden", !chosen.caller);
    set(this.#caller, "textContent", `Caller ${chosen.caller === "anonymous" ? "anyone" : chosen.caller} ×`);
    set(this.#caller, "ariaLabel", `Show the jobs of every caller, not of ${chosen.caller} alone`);
    set(this.#clear, "hidden", !isNarrow(chosen) && !chosen.label);
  }

  #offer(ids) {
    const known = new Set([...this.#model.options].map(({ value }) => value));
    this.#model.append(...ids.filter((id) => !known.has(id)).map((id) => element("option", { value: id, textContent: id })));
  }
}

export const isNarrow = (chosen) => NAMES.some((name) => chosen[name]);

// The same as the server is asked for it: an age becomes a time.
export function asked(chosen) {
  const found = Object.fromEntries(NAMES.filter((name) => chosen[name]).map((name) => [name, chosen[name]]));
  for (const name of ["since", "until"]) if (AGES[found[name]]) found[name] = new Date(serverNow() - AGES[found[name]]).toISOString();
  return found;
}
