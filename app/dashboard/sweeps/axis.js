// One axis of a sweep: a field, and the values that it takes.

import { element, set } from "../parts/dom.js";
import { UNGUIDED } from "./plan.js";

const NUMBERS = ["integer", "number", "share"];
const SWEPT = [...NUMBERS, "choice", "boolean", "text", "line"];
const FIRST = ["guidance.scale", "guidance.preset", "cfg_scale", "steps", "seed", "prompt", "init.strength"]; // what people sweep most
const ELSEWHERE = ["init.", "mask.", "outpaint.", "webhook", "timeout_s", "priority", "preview_every_steps", "guidance.trace"];

export class Axis {
  node;
  #name;
  #field = element("select");
  #values = element("div");
  #error = element("p", { className: "field-error" });
  #fields = new Map();
  #input = null; // of the values of the chosen field
  #early; // a draft that came before the fields did

  // `name` is what the axis is called, such as "Across"; `onChange` is called when it is another one.
  constructor(name, onChange) {
    const id = `sweep-${name.toLowerCase()}`;
    this.#name = name;
    this.#field.id = id;
    this.#error.id = `${id}-error`;
    this.#field.addEventListener("input", () => this.#choose()); // before anybody is told
    this.#field.append(element("option", { value: "", textContent: "nothing" }));
    this.node = element("div", { className: "axis" }, element("div", { className: "field" }, element("label", { htmlFor: id, textContent: name }), this.#field), this.#values, this.#error);
    this.node.addEventListener("input", () => {
      this.error = "";
      onChange();
    });
  }

  // Offer these fields, as the form has them.
  offer(fields) {
    const isFit = ({ path, kind }) => SWEPT.includes(kind) && (FIRST.includes(path) || !ELSEWHERE.some((start) => path.startsWith(start)));
    const offered = fields.filter(isFit);
    this.#fields = new Map(offered.map((field) => [field.path, field]));
    const often = FIRST.filter((path) => this.#fields.has(path));
    const rest = [...this.#fields.keys()].filter((path) => !often.includes(path));
    const group = (label, paths) => element("optgroup", { label }, ...paths.map((path) => element("option", { value: path, textContent: path })));
    this.#field.append(group("Most swept", often), group("Others", rest));
    if (this.#early) this.draft = this.#early;
  }

  get path() {
    return this.#field.value || null;
  }

  // What was chosen, in each value once.
  get values() {
    return [...new Set(this.#input?.read() ?? [])];
  }

  // What is wrong with it; null if nothing is.
  get fault() {
    if (this.path === null) return null;
    return this.values.length === 0 ? "Give some values." : (this.values.map((value) => faultOf(value, this.#fields.get(this.path))).find(Boolean) ?? null);
  }

  get draft() {
    return this.path && { path: this.path, said: this.#input.said };
  }

  set draft(draft) {
    if (this.#fields.size === 0) {
      this.#early = draft;
      return;
    }
    this.#early = null;
    this.#field.value = this.#fields.has(draft?.path) ? draft.path : "";
    this.#choose();
    if (this.path) this.#input.said = draft.said;
  }

  set error(message) {
    set(this.#error, "textContent", message);
    for (const entry of this.node.querySelectorAll("input, textarea")) set(entry, "ariaInvalid", message ? "true" : "false");
  }

  focus() {
    (this.#values.querySelector("input, textarea") ?? this.#field).focus();
  }

  #choose() {
    const field = this.#fields.get(this.path);
    const id = `${this.#field.id}-values`;
    this.#input = field ? inputFor(field, id, `${this.#name}: values of ${field.path}`) : null;
    this.#values.replaceChildren(...(this.#input ? [this.#input.node] : []));
    for (const entry of this.#values.querySelectorAll("input, textarea")) entry.setAttribute("aria-describedby", this.#error.id);
  }
}

function inputFor(field, id, label) {
  if (["choice", "boolean"].includes(field.kind)) return boxes(field, label);
  const isNumber = NUMBERS.includes(field.kind);
  const node = isNumber
    ? element("input", { type: "text", id, autocomplete: "off", ariaLabel: label, placeholder: `values, with commas${field.example === undefined ? "" : `: ${field.example}, …`}` })
    : element("textarea", { id, rows: 3, ariaLabel: label, placeholder: "a value in each line" });
  const words = () => node.value.split(isNumber ? /[,;\s]+/ : "\n").map((word) => word.trim()).filter(Boolean);
  return {
    node,
    read: () => (isNumber ? words().map((word) => (Number.isFinite(Number(word)) ? Number(word) : word)) : words()),
    get said() {
      return node.value;
    },
    set said(text) {
      node.value = text;
    },
  };
}

function boxes({ path, kind, options, named }, label) {
  const values = kind === "boolean" ? [true, false] : path === "guidance.preset" ? [UNGUIDED, ...options] : options;
  const made = values.map((value, index) => element("input", { type: "checkbox", value: String(index) }));
  const words = (value) => (value === true ? "yes" : value === false ? "no" : value === UNGUIDED ? value : (named?.(value) ?? value));
  const node = element("fieldset", { className: "boxes", ariaLabel: label }, ...made.map((box, index) => element("label", {}, box, ` ${words(values[index])}`)));
  return {
    node,
    read: () => made.filter(({ checked }) => checked).map(({ value }) => values[value]),
    get said() {
      return this.read();
    },
    set said(chosen) {
      made.forEach((box, index) => (box.checked = chosen.includes(values[index])));
    },
  };
}

// What the browser can tell by itself. The server checks every job before the first is made.
function faultOf(value, { kind, minimum, maximum }) {
  if (!NUMBERS.includes(kind)) return null;
  if (typeof value !== "number") return `${value} is not a number.`;
  if (kind === "integer" && !Number.isInteger(value)) return `${value} is not a whole number.`;
  if (minimum !== undefined && value < minimum) return `${value} is less than ${minimum}.`;
  if (maximum !== undefined && value > maximum) return `${value} is more than ${maximum}.`;
  return null;
}
