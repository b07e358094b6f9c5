// What the chosen model knows: examples to begin with, names that complete a word, and a word if a prompt has none.

import { element, set } from "../parts/dom.js";
import { count } from "../parts/words.js";
import { typeInto } from "./typing.js";

const MOST = 6; // names that are offered at once
const LEAST_LETTERS = 2; // of a word that is completed
const PAUSE_MS = 700; // without a key, before a prompt is judged

export class Vocabulary {
  #prompt;
  #chips = element("div", { className: "chips", role: "group" });
  #note = element("p", { className: "note-line", role: "status" });
  #words = element("span");
  #all = element("details", { className: "names", hidden: true }, element("summary", { textContent: "What it knows" }), element("p"));
  #model = null;
  #timer = 0;

  // Stands in `node`, and helps with the text area `prompt`.
  constructor(node, prompt) {
    this.#prompt = prompt;
    node.append(this.#chips, this.#note, element("div", { className: "hint" }, this.#words, this.#all));
    for (const name of ["input", "click", "keyup", "focus"]) prompt.addEventListener(name, () => this.#offer());
  }

  // Speak of this model from now on.
  set model(model) {
    if (this.#model?.id !== model.id) {
      const { id, description, vocabulary: names } = model;
      this.#words.textContent = description ? `${id}: ${description}` : "";
      this.#all.hidden = names.length === 0;
      this.#all.querySelector("p").textContent = names.join(", ");
    }
    this.#model = model;
    this.#offer();
  }

  #offer() {
    if (!this.#model) return;
    clearTimeout(this.#timer);
    const text = this.#prompt.value;
    if (text.trim()) this.#chip("Names that the model knows", ...this.#completions());
    else this.#chip("Examples", this.#model.examples, { from: 0, to: text.length });
    if (!text.trim() || this.#knows(text)) return this.#say("");
    this.#timer = setTimeout(() => this.#judge(text), PAUSE_MS);
  }

  // Say that a prompt names nothing that the model knows, and offer what comes near.
  #judge(text) {
    const { id, vocabulary: names, examples } = this.#model;
    this.#say(`${id} knows ${count(names.length, "name")}, and none is in this prompt: it may draw shapes and colours alone.`);
    if (this.#chips.childElementCount) return;
    const said = new Set(wordsOf(text));
    const near = names.filter((name) => wordsOf(name).some((word) => word.length > LEAST_LETTERS && said.has(word)));
    const end = text.trimEnd().length;
    if (near.length) this.#chip("Names that come near", near, { from: end, to: end });
    else this.#chip("Examples, in place of this", examples, { from: 0, to: text.length });
  }

  #knows(text) {
    if (this.#model.vocabulary.length === 0) return true; // nothing is known of what it knows
    const said = ` ${wordsOf(text).join(" ")} `;
    return this.#model.vocabulary.some((name) => said.includes(` ${wordsOf(name).join(" ")} `));
  }

  // The names that what stands before the caret may become, and its place.
  #completions() {
    const none = [[], { from: 0, to: 0 }];
    const { selectionStart: caret, selectionEnd: end, value } = this.#prompt;
    if (caret !== end || /^[\p{L}]/u.test(value.slice(caret))) return none;
    const before = value.slice(0, caret);
    for (const words of [3, 2, 1]) {
      const typed = before.match(new RegExp(`(?:^|[^\\p{L}])((?:[\\p{L}]+ ){${words - 1}}[\\p{L}]+)$`, "u"))?.[1];
      if (!typed || typed.length < LEAST_LETTERS) continue;
      const wanted = typed.toLowerCase();
      const names = this.#model.vocabulary.filter((name) => name !== wanted && (name.startsWith(wanted) || (words === 1 && name.includes(` ${wanted}`))));
      if (names.length) return [names, { from: caret - typed.length, to: caret }];
    }
    return none;
  }

  // Offer texts, each of which replaces what stands at a place.
  #chip(label, names, place) {
    const shown = names.slice(0, MOST);
    const key = JSON.stringify([label, shown, place]);
    if (this.#chips.dataset.key === key) return;
    this.#chips.dataset.key = key;
    this.#chips.ariaLabel = label;
    this.#chips.replaceChildren(...shown.map((name) => {
      const button = element("button", { type: "button", className: "chip", textContent: name });
      button.addEventListener("click", () => this.#take(name, place));
      return button;
    }));
  }

  #take(name, { from, to }) {
    typeInto(this.#prompt, from > 0 && from === to ? ` ${name}` : name, from, to);
  }

  #say(words) {
    set(this.#note, "textContent", words);
  }
}

// The words of a text in small letters, without what makes a plural.
function wordsOf(text) {
  return (text.toLowerCase().match(/\p{L}+/gu) ?? []).map((word) => (word.length > 3 ? word.replace(/s$/, "") : word));
}
