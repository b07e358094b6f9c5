// One object of such a list: what it names, and its fields.

import { Control } from "../form/control.js";
import { Slider } from "../form/slider.js";
import { element, set } from "../parts/dom.js";

export class Entry {
  node;
  #kind;
  #card;
  #controls = new Map(); // by the names of their fields
  #unsuited = element("p", { className: "note-line" });

  // `kind` is one of kinds.js, `card` what the server says of it; `path` begins the ids of its fields.
  constructor(kind, card, path, onRemove) {
    this.#kind = kind;
    this.#card = card;
    const fields = kind.fields(path).filter(({ name }) => name !== kind.key);
    for (const field of fields) this.#controls.set(field.name, kind.controlOf?.(field, card) ?? (field.kind === "share" ? new Slider(field) : new Control(field)));
    for (const [name, value] of Object.entries(kind.standards(card))) this.#controls.get(name).standard = value;
    const remove = element("button", { type: "button", className: "quiet", textContent: "Remove", ariaLabel: `Remove ${card.id}` });
    remove.addEventListener("click", onRemove);
    const nodes = (isFirst) => [...this.#controls].filter(([name]) => kind.first.includes(name) === isFirst).map(([, { node }]) => node);
    const more = element("details", {}, element("summary", { textContent: "More" }), element("div", { className: "grid" }, ...nodes(false)));
    const words = card.description ? [element("p", { className: "hint", textContent: card.description })] : [];
    this.node = element("fieldset", { className: "entry", ariaLabel: card.id }, element("legend", {}, element("strong", { textContent: card.id }), " ", remove), ...words, ...(kind.extras?.(card) ?? []), this.#unsuited, ...nodes(true), ...(kind.after?.(this) ?? []), more);
  }

  read() {
    const said = [...this.#controls].map(([name, one]) => [name, one.read()]).filter(([, value]) => value !== undefined);
    return { [this.#kind.key]: this.#card.id, ...Object.fromEntries(said) };
  }

  write(value) {
    for (const [name, one] of this.#controls) one.write(value[name] ?? undefined);
  }

  get fault() {
    return [...this.#controls.values()].map(({ fault }) => fault).find(Boolean) ?? null;
  }

  focus() {
    this.#controls.get(this.#kind.first[0]).focus();
  }

  suit(model) {
    const { base, id } = this.#card;
    set(this.#unsuited, "textContent", base.length && !base.includes(model) ? `${id} is made for ${base.join(", ")}, not for ${model}.` : "");
  }
}
