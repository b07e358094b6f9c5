// All options: a control for every field of a request, from the API's own schema.

import { Balance } from "../conditions/balance.js";
import { Entries } from "../conditions/entries.js";
import { kindsOf } from "../conditions/kinds.js";
import { element, prose } from "../parts/dom.js";
import { listEmbeddings } from "../server/api.js";
import { Control } from "./control.js";
import { fieldsOf } from "./schema.js";
import { Slider } from "./slider.js";

const FIRST = "Picture"; // the group of what everybody needs: it stands open
const GROUPS = [
  [FIRST, ["negative_prompt", "model", "num_images", "width", "height", "steps", "cfg_scale", "seed", "select"]],
  ["Guidance", ["guidance"]],
  ["Adapters and controls", ["adapters", "controls", "image_prompts"]],
  ["Prompt", ["prompt", "prompt_syntax", "long_prompt", "clip_skip"]],
  ["Sampling", ["sampler", "schedule", "eta", "guidance_rescale", "variation", "edit", "init", "mask", "refiner"]],
  ["Size", ["hires", "upscale", "sizes"]],
  ["Job", ["labels", "preview_every_steps", "priority", "timeout_s", "webhook"]],
];
const FOLLOWING = new Set(["cfg_embedded"]); // which nobody chooses: they follow from the model
const NUMBERS = new Set(["integer", "number", "share"]);
const TIERS = ["Guidance", "Adapters and controls"]; // groups that fold by themselves; all others fold under EXPERT
const EXPERT = "Expert";
const MAIN = { guidance: ["preset", "scale", "cutouts", "start", "end", "clip", "prompt"] }; // fields that come first
const MEASURED = "Beside each: the time of a step, 1 being that of an unguided one, and the gain in likeness to the prompt by a CLIP that guides nothing, but may be flattered; both as measured on the pocket model.";

export class Options {
  #controls;
  #switches;
  #models;
  #kinds; // of the fields that name something of the catalog

  // `controls` and `switches` are those of the whole form, by the paths of their fields; more are added here.
  constructor(controls, switches) {
    this.#controls = controls;
    this.#switches = switches;
  }

  // Make the controls of these schemas that there are not yet; the groups that hold them.
  build(schemas, models, catalog) {
    this.#models = models;
    this.#kinds = kindsOf(catalog, schemas, () => this.#sizeNow());
    const fields = new Map(fieldsOf(schemas.GenerateRequest, schemas).map((field) => [field.name, field]));
    const grouped = new Set(GROUPS.flatMap(([, names]) => names));
    const others = [...fields.keys()].filter((name) => !grouped.has(name) && !FOLLOWING.has(name));
    const made = [...GROUPS, ["More", others]].map(([title, names]) => [title, this.#group(title, names.map((name) => fields.get(name)).filter(Boolean))]).filter(([, group]) => group);
    const of = (wanted) => made.filter(([title]) => wanted(title)).map(([, group]) => group);
    const isOwn = (title) => title === FIRST || TIERS.includes(title);
    const tiers = TIERS.map((title) => tier(title, of((other) => other === title)));
    return [...of((title) => title === FIRST), ...tiers, tier(EXPERT, of((title) => !isOwn(title)))];
  }

  #group(title, fields) {
    const isElsewhere = ({ path, fields: inner }) => this.#controls.has(path) || (inner.length > 0 && inner.every((one) => this.#controls.has(one.path)));
    const left = fields.filter((field) => !isElsewhere(field));
    const plain = left.filter(({ kind }) => kind !== "group");
    const nested = left.filter(({ kind }) => kind === "group").map((field) => this.#switched(field));
    if (plain.length + nested.length === 0) return null;
    if (plain.length === 0 && nested.length === 1) return nested[0];
    const grid = element("div", { className: "grid" }, ...plain.map((field) => this.#control(field)));
    return element("fieldset", { className: "group" }, element("legend", { textContent: title }), grid, ...nested);
  }

  // An object that is sent only if its switch is on.
  #switched(field) {
    const own = field.fields.filter(({ path }) => !this.#controls.has(path)); // others are above, where the picture is
    const fields = own.map((inner) => (inner.kind === "group" ? { ...inner, kind: inner.fields.every(({ kind }) => NUMBERS.has(kind)) ? "numbers" : "json" } : inner));
    const main = MAIN[field.name] ?? fields.map(({ name }) => name);
    const [first, rest] = [main.map((name) => fields.find((inner) => inner.name === name)).filter(Boolean), fields.filter(({ name }) => !main.includes(name))];
    const grid = (ones) => element("div", { className: "grid" }, ...ones.map((inner) => this.#control(inner)));
    const more = rest.length ? [element("details", { className: "more-of" }, element("summary", { textContent: `More of ${field.label.toLowerCase()}` }), grid(rest))] : [];
    const body = element("fieldset", { disabled: true, ariaLabel: field.label }, grid(first), ...more);
    const known = this.#switches.get(field.name);
    const box = known ?? element("input", { type: "checkbox", id: `field-${field.path}` });
    this.#switches.set(field.name, box);
    const legend = known ? field.label : element("label", { className: "switch" }, box, field.label);
    const all = element("fieldset", { className: "group" }, element("legend", {}, legend), element("p", { className: "hint" }, ...prose(field.description)), body);
    const isAbove = known && !known.isConnected; // its switch is what is there, such as a picture
    box.showSwitch = () => {
      body.disabled = !box.checked;
      body.hidden = !box.checked;
      all.hidden = Boolean(isAbove) && !box.checked; // there is nothing to set without a picture
    };
    box.addEventListener("change", box.showSwitch);
    return all;
  }

  // The size of the picture that the form would make.
  #sizeNow() {
    const read = (path) => this.#controls.get(path)?.read();
    const { defaults } = this.#models.find(({ id }) => id === read("model")) ?? this.#models[0];
    return { width: read("width") ?? defaults.width, height: read("height") ?? defaults.height };
  }

  #control(field) {
    const kind = this.#kinds[field.path];
    const made = kind ? new Entries(field, kind) : field.path === "select.by" ? new Balance(field) : field.kind === "share" ? new Slider(field) : new Control(this.#offered(field));
    this.#controls.set(field.path, made);
    return made.node;
  }

  // The field with the values that this server knows for it.
  #offered(field) {
    const [first] = this.#models;
    switch (field.path) {
      case "model": return { ...field, kind: "choice", options: this.#models.map(({ id }) => id) };
      case "personalization.embedding": return { ...field, suggest: () => listEmbeddings().then(({ data }) => data.map(({ name }) => name)) };
      case "refiner.model": return { ...field, kind: "choice", options: this.#models.filter(({ family }) => family === "sdxl-refiner").map(({ id }) => id) };
      case "width":
      case "height": return { ...field, minimum: undefined, maximum: undefined }; // those of the model are shown below
      case "guidance.clip":
      case "select.scorer": return { ...field, kind: "choice", options: first?.clips ?? [] };
      case "guidance.preset": return { ...field, named: namedBy(first?.guidance_presets ?? []), description: `${field.description} ${MEASURED}` };
      default: return field;
    }
  }
}

// Groups that fold, with the number of their fields that are set.
function tier(title, groups) {
  return element("details", { className: "tier" }, element("summary", {}, title, element("span", { className: "set-here" })), element("div", { className: "stacked" }, ...groups));
}

// What a preset is called where it is chosen: with its cost and its gain.
const namedBy = (presets) => (id) => {
  const { cost, gain } = presets.find((preset) => preset.id === id) ?? {};
  return typeof cost === "number" ? `${id} (${cost} × time, ${signed(gain)})` : id;
};

const signed = (gain) => `${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(3)}`;
