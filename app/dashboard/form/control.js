// One field of the form: a label, an input, a description, and an error.

import { element, prose, set } from "../parts/dom.js";

const UNSET = "auto"; // not "default", which is the name of a schedule

export class Control {
  #input;
  #error = element("p", { className: "field-error" });
  #note = element("p", { className: "note-line", hidden: true });

  constructor(field) {
    this.field = field;
    const id = `field-${field.path}`;
    this.#input = INPUTS[field.kind](field, id);
    this.#error.id = `${id}-error`;
    const hint = element("p", { className: "hint", id: `${id}-hint` }, ...prose([field.description, bounds(field)].filter(Boolean).join(" ")));
    this.#note.id = `${id}-note`;
    const isGroup = this.#input.node.tagName === "FIELDSET";
    const label = isGroup ? "" : element("label", { htmlFor: id, textContent: field.label });
    for (const entry of this.#entries) entry.setAttribute("aria-describedby", `${hint.id} ${this.#note.id} ${this.#error.id}`);
    this.node = element("div", { className: `field kind-${field.kind}` }, label, this.#input.node, ...(this.#input.beside ?? []), hint, this.#note, this.#error);
  }

  // The value to send; undefined when there is none, and the server's default holds.
  read() {
    return this.#input.read();
  }

  // The error that the browser finds by itself; null if none.
  get fault() {
    return this.#input.fault?.() ?? null;
  }

  write(value) {
    this.#input.write(value);
  }

  // Show the value that applies if the field is left out.
  set standard(value) {
    this.#input.standard?.(value);
  }

  // What follows from the values as they are, such as a size; empty if nothing.
  set note(words) {
    set(this.#note, "textContent", words);
    set(this.#note, "hidden", words === "");
  }

  // Of a choice: the values that can be chosen now, all if null.
  set allowed(values) {
    this.#input.allow?.(values);
  }

  set error(message) {
    set(this.#error, "textContent", message);
    for (const entry of this.#entries) set(entry, "ariaInvalid", message ? "true" : "false");
  }

  focus() {
    this.#entries[0].focus();
  }

  get #entries() {
    const { node } = this.#input;
    return node.tagName === "FIELDSET" ? [...node.querySelectorAll("input")] : [node];
  }
}

function bounds({ kind, minimum, maximum, default: standard }) {
  const told = [];
  if (["integer", "number"].includes(kind) && maximum !== undefined) told.push(`${minimum ?? 0} to ${maximum}`);
  if (!["group", "choices", "boolean", "numbers"].includes(kind) && standard && String(standard) !== "") told.push(`default ${standard}`);
  return told.length ? `(${told.join("; ")})` : "";
}

function entry(node, { parse = (text) => text, fault } = {}) {
  const said = () => node.value.trim();
  return {
    node,
    fault,
    read: () => (said() === "" ? undefined : parse(said())),
    write: (value) => (node.value = value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : value),
    standard: (value) => (node.placeholder = value ?? ""),
  };
}

// `suggest`, if there is one, asks for names that can be chosen; they are as of when the field gets the focus.
function line({ maxLength, example, suggest }, id) {
  const node = element("input", { type: "text", id, autocomplete: "off", placeholder: example ? `such as ${example}` : "" });
  const made = entry(limited(node, maxLength));
  if (!suggest) return made;
  const known = element("datalist", { id: `${id}-known` });
  node.setAttribute("list", known.id);
  const offer = (names) => known.replaceChildren(...names.map((value) => element("option", { value })));
  node.addEventListener("focus", () => suggest().then(offer, () => {})); // a name can be typed all the same
  return { ...made, beside: [known] };
}

function text({ maxLength }, id) {
  return entry(limited(element("textarea", { id, rows: 2 }), maxLength));
}

function limited(node, maxLength) {
  if (maxLength !== undefined) node.maxLength = maxLength;
  return node;
}

function number({ kind, minimum, maximum, isRequired, example, default: standard }, id) {
  const node = element("input", { type: "number", id, step: kind === "integer" ? 1 : "any", min: minimum ?? "", max: maximum ?? "" });
  node.placeholder = standard ?? "";
  const made = entry(node, { parse: Number, fault: () => (node.validity.badInput ? "This is not a number." : null) });
  if (!isRequired) return made;
  made.write(example);
  return { ...made, write: (value) => made.write(value ?? example) };
}

function choice(field, id) {
  const options = field.kind === "boolean" ? [true, false] : field.options;
  const names = options.map((value) => field.named?.(value) ?? (value === true ? "yes" : value === false ? "no" : String(value)));
  const unset = field.isOptional ? [element("option", { value: "", textContent: UNSET })] : [];
  const offered = names.map((name, index) => element("option", { value: String(index), textContent: name }));
  const node = element("select", { id }, ...unset, ...offered);
  const write = (value) => (node.value = options.includes(value) ? String(options.indexOf(value)) : "");
  const first = field.isRequired ? options[0] : field.default;
  write(first);
  return {
    node,
    read: () => (node.value === "" || options[node.value] === field.default ? undefined : options[node.value]),
    write: (value) => write(value ?? first),
    standard: (value) => unset[0] && set(unset[0], "textContent", `${UNSET} (${names[options.indexOf(value)] ?? value})`),
    allow: (values) => offered.forEach((one, index) => set(one, "disabled", values !== null && !values.includes(options[index]))),
  };
}

function choices({ options, label, default: standard = [] }, id) {
  const boxes = options.map((value) => element("input", { type: "checkbox", value, checked: standard.includes(value) }));
  const node = element("fieldset", { id, className: "boxes" }, element("legend", { textContent: label }), ...boxes.map((box) => element("label", {}, box, ` ${box.value}`)));
  const read = () => boxes.filter(({ checked }) => checked).map(({ value }) => value);
  return {
    node,
    read: () => (String(read()) === String(standard) ? undefined : read()),
    write: (value) => boxes.forEach((box) => (box.checked = (value ?? standard).includes(box.value))),
  };
}

function json({ example }, id) {
  const node = element("textarea", { id, rows: 2, spellcheck: false, placeholder: example ? JSON.stringify(example) : "JSON" });
  const fault = () => {
    try {
      if (node.value.trim()) JSON.parse(node.value);
      return null;
    } catch (error) {
      return `This is not JSON: ${error.message}`;
    }
  };
  return entry(node, { parse: (said) => JSON.parse(said), fault });
}

// An object of numbers alone, such as a size: an input for each.
function numbers({ label, fields }, id) {
  const inputs = fields.map((field) => element("input", { type: "number", id: `${id}.${field.name}`, step: field.kind === "integer" ? 1 : "any", min: field.minimum ?? "", max: field.maximum ?? "", placeholder: field.default ?? "" }));
  const parts = fields.map((field, index) => element("div", {}, element("label", { htmlFor: inputs[index].id, textContent: field.label }), inputs[index]));
  const node = element("fieldset", { id, className: "numbers" }, element("legend", { textContent: label }), ...parts);
  return {
    node,
    fault: () => (inputs.some(({ validity }) => validity.badInput) ? "This is not a number." : null),
    read: () => {
      const said = fields.map(({ name }, index) => [name, inputs[index].value.trim()]).filter(([, value]) => value !== "");
      return said.length ? Object.fromEntries(said.map(([name, value]) => [name, Number(value)])) : undefined;
    },
    write: (value) => fields.forEach(({ name }, index) => (inputs[index].value = value?.[name] ?? "")),
  };
}

// Texts, with commas between.
function words({ example }, id) {
  const node = element("input", { type: "text", id, autocomplete: "off", placeholder: example ? `such as ${example.join(", ")}` : "" });
  const made = entry(node, { parse: (said) => said.split(",").map((word) => word.trim()).filter(Boolean) });
  return { ...made, write: (value) => made.write(value?.length ? value.join(", ") : undefined) };
}

// A field of several types: text in the form of a number or of JSON becomes that.
function any(field, id) {
  return entry(line(field, id).node, {
    parse: (said) => {
      try {
        return JSON.parse(said);
      } catch {
        return said;
      }
    },
  });
}

const INPUTS = { line, text, integer: number, number, choice, boolean: choice, choices, numbers, words, json, any };
