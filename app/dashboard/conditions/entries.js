// A list of a request's objects that name something of the catalog, such as adapters: to add, to set, to remove.

import { element, set } from "../parts/dom.js";
import { Entry } from "./entry.js";

export class Entries {
  node;
  #kind;
  #entries = [];
  #list = element("div", { className: "entries" });
  #add = element("select");
  #error = element("p", { className: "field-error" });
  #number = 0; // of entries so far: each has ids of its own

  // `field` is that of the request; `kind` is one of kinds.js.
  constructor(field, kind) {
    const id = `field-${field.path}`;
    this.field = field;
    this.#kind = kind;
    this.#add.id = id;
    this.#error.id = `${id}-error`;
    this.#add.setAttribute("aria-describedby", this.#error.id);
    this.#add.append(element("option", { value: "", textContent: kind.cards.length ? `Add ${kind.one}…` : kind.none }), ...kind.cards.map(({ id: name }) => element("option", { value: name, textContent: name })));
    this.#add.disabled = kind.cards.length === 0;
    this.#add.addEventListener("change", () => {
      if (this.#add.value) this.#append({ [kind.key]: this.#add.value }).focus();
      this.#add.value = "";
    });
    this.node = element("div", { className: "field kind-json" }, element("label", { htmlFor: id, textContent: kind.title }), this.#list, this.#add, this.#error);
  }

  read() {
    return this.#entries.length ? this.#entries.map((entry) => entry.read()) : undefined;
  }

  write(values) {
    this.#entries = [];
    this.#list.replaceChildren();
    for (const value of values ?? []) this.#append(value);
  }

  get fault() {
    return this.#entries.map(({ fault }) => fault).find(Boolean) ?? null;
  }

  set error(message) {
    set(this.#error, "textContent", message);
    set(this.#add, "ariaInvalid", message ? "true" : "false");
  }

  focus() {
    (this.#entries[0] ?? this.#add).focus();
  }

  // Offer what is made for this model, and say which of the chosen ones are not.
  suit(model) {
    for (const option of this.#add.options) {
      const card = this.#kind.cards.find(({ id }) => id === option.value);
      option.disabled = Boolean(card?.base.length) && !card.base.includes(model);
    }
    for (const entry of this.#entries) entry.suit(model);
  }

  #append(value) {
    const card = this.#kind.cards.find(({ id }) => id === value[this.#kind.key]) ?? { id: value[this.#kind.key], description: "", base: [], triggers: [] };
    this.#number += 1;
    const entry = new Entry(this.#kind, card, `${this.field.path}.${this.#number}.`, () => this.#remove(entry));
    entry.write(value);
    this.#entries.push(entry);
    this.#list.append(entry.node);
    return entry;
  }

  #remove(entry) {
    this.#entries = this.#entries.filter((one) => one !== entry);
    entry.node.remove();
    this.#add.focus();
    this.#add.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
