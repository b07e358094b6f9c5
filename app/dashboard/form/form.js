// The form for new jobs: every field of a request, from the API's own schema. Empty fields are not sent.

import { Refused, Unreachable, getDescription, getModels, reasonOf } from "../server/api.js";
import { Control } from "./control.js";
import { element, set } from "../parts/dom.js";
import { fieldsOf } from "./schema.js";
import { Start } from "./start.js";
import { submitBoth, submitOnce } from "./submission.js";

const GROUPS = [
  ["Prompt", ["prompt", "negative_prompt", "prompt_syntax", "long_prompt"]],
  ["Size", ["model", "width", "height", "num_images"]],
  ["Sampling", ["steps", "cfg_scale", "sampler", "schedule", "seed", "init", "mask"]],
  ["Guidance", ["guidance"]],
  ["Delivery", ["preview_every_steps", "priority", "timeout_s", "webhook"]],
];
const AT_FIRST = { guidance: { trace: true }, preview_every_steps: 5 }; // sent unless the form says otherwise
const DRAFT = "lodestar-draft";
const RETRY_MS = 3000;

const find = (id) => document.getElementById(id);
const form = find("form");
const controls = new Map(); // by the dotted name of the field
const groups = new Map(); // checkboxes that say whether an object is sent, by its name
let models = [];
let built = null;
let start = null; // the part of the form that takes pictures

export function watchForm(onAccepted) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(onAccepted, event.submitter?.id === "both");
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(find("generate"));
  });
  form.addEventListener("input", changed);
  controls.set("prompt", staticPrompt());
  groups.set("guidance", find("guidance"));
  start = new Start(find("start"), () => !find("home").hidden && !document.querySelector("dialog[open]"), changed);
  for (const [path, one] of start.controls) controls.set(path, one);
  for (const [name, box] of start.switches) groups.set(name, box);
  begin();
  fill(draft() ?? AT_FIRST);
}

// Fill the form as soon as there is one. The prompt and the pictures work without it, and may be in use by then.
function begin() {
  ready().then(() => fill(draft() ?? AT_FIRST, (name) => start.controls.has(name) || start.switches.has(name))).catch((error) => {
    if (error instanceof Refused || error instanceof Unreachable) setTimeout(begin, RETRY_MS);
    else reportError(error);
  });
}

// Put a request into the form, in place of what is there.
export async function fillForm(request) {
  await ready();
  fill(request);
  find("options").open = true;
  find("prompt").focus();
  changed();
}

// Start from a picture, by its name in a request. Its prompt is taken if the form has none.
export function startFrom(name, prompt) {
  controls.get("prompt").write(controls.get("prompt").read() ?? prompt);
  start.put(name);
}

// Build what the schema says, once; again after a failure.
function ready() {
  built ??= Promise.all([getDescription(), getModels()]).then(build).catch((error) => {
    built = null;
    throw error;
  });
  return built;
}

function build([{ components: { schemas } }, known]) {
  models = known;
  const fields = new Map(fieldsOf(schemas.GenerateRequest, schemas).map((field) => [field.name, field]));
  const grouped = new Set(GROUPS.flatMap(([, names]) => names));
  const others = [...fields.keys()].filter((name) => !grouped.has(name));
  const parts = [...GROUPS, ["More", others]].map(([title, names]) => group(title, names.map((name) => fields.get(name)).filter(Boolean)));
  find("fields").replaceChildren(...parts.filter(Boolean));
  controls.get("model")?.offer(models.map(({ id }) => id));
  controls.get("guidance.clip")?.offer(models[0]?.clips ?? []);
  tellStandards();
}

function group(title, fields) {
  const plain = fields.filter(({ kind, name }) => kind !== "group" && name !== "prompt");
  const nested = fields.filter(({ kind }) => kind === "group").map((field) => switched(field));
  if (plain.length + nested.length === 0) return null;
  if (plain.length === 0 && title === "Guidance") return nested[0];
  const grid = element("div", { className: "grid" }, ...plain.map(control));
  return element("fieldset", { className: "group" }, element("legend", { textContent: title }), grid, ...nested);
}

// An object that is sent only if its switch is on.
function switched(field) {
  const elsewhere = ({ path }) => controls.has(path); // above, where the picture is
  const fields = field.fields.filter((inner) => !elsewhere(inner)).map((inner) => (inner.kind === "group" ? { ...inner, kind: "json" } : inner));
  const body = element("fieldset", { className: "grid", disabled: true, ariaLabel: field.label }, ...fields.map(control));
  let box = groups.get(field.name);
  const known = Boolean(box);
  box ??= element("input", { type: "checkbox", id: `field-${field.path}` });
  groups.set(field.name, box);
  const legend = known ? field.label : element("label", { className: "switch" }, box, field.label);
  const all = element("fieldset", { className: "group" }, element("legend", {}, legend), element("p", { className: "hint", textContent: field.description }), body);
  box.showSwitch = () => {
    body.disabled = !box.checked;
    body.hidden = !box.checked;
    all.hidden = start.switches.has(field.name) && !box.checked; // there is nothing to set without a picture
  };
  box.addEventListener("change", box.showSwitch);
  return all;
}

function control(field) {
  const made = new Control(field);
  controls.set(field.path, made);
  return made.node;
}

// The prompt is there before the schema is, and stays the same element.
function staticPrompt() {
  const node = find("prompt");
  return {
    fault: null,
    read: () => node.value.trim() || undefined,
    write: (value) => (node.value = value ?? ""),
    focus: () => node.focus(),
    set error(message) {
      set(find("prompt-error"), "textContent", message);
      set(node, "ariaInvalid", message ? "true" : "false");
    },
  };
}

function read() {
  // Before the schema has come there are no controls, and the first values are sent as they are.
  const request = controls.has("preview_every_steps") ? {} : { preview_every_steps: AT_FIRST.preview_every_steps };
  for (const [path, one] of controls) {
    const value = one.fault ? undefined : one.read();
    const [outer, inner] = path.split(".");
    if (inner === undefined && value !== undefined) request[outer] = value;
    if (inner !== undefined && groups.get(outer).checked) request[outer] = { ...request[outer], ...(value !== undefined && { [inner]: value }) };
  }
  if (groups.get("guidance").checked) request.guidance ??= { ...AT_FIRST.guidance };
  return request;
}

function fill(request, isKept = () => false) {
  for (const [path, one] of controls) {
    if (isKept(path)) continue;
    one.write(valueAt(request, path));
    one.error = "";
  }
  for (const [name, box] of groups) {
    if (!isKept(name)) box.checked = Boolean(request[name]);
    box.showSwitch?.();
  }
  tellStandards();
  tellCount();
}

function changed() {
  sessionStorage.setItem(DRAFT, JSON.stringify(read()));
  tellStandards();
  tellCount();
}

function draft() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    return null;
  }
}

function tellCount() {
  const number = [...controls].filter(([path, one]) => one.field && isSent(path) && ![undefined, valueAt(AT_FIRST, path)].includes(one.read())).length;
  find("set-count").textContent = number ? ` (${number} set)` : "";
}

const valueAt = (request, path) => path.split(".").reduce((value, name) => value?.[name], request);
const isSent = (path) => !path.includes(".") || groups.get(path.split(".")[0]).checked;

// The defaults of the chosen model and preset, shown in the empty fields.
function tellStandards() {
  const model = models.find(({ id }) => id === controls.get("model")?.read()) ?? models[0];
  if (!model) return;
  const wanted = controls.get("guidance.preset")?.read() ?? controls.get("guidance.preset")?.field.default;
  const preset = model.guidance_presets.find(({ id }) => id === wanted) ?? {};
  const guided = { clip: model.defaults.clip, prompt: "the prompt", ...preset.defaults };
  for (const [path, one] of controls) {
    const [outer, inner] = path.split(".");
    const value = inner === undefined ? model.defaults[outer] : outer === "guidance" ? guided[inner] : undefined;
    if (value !== undefined && typeof value !== "object" && one.field?.isOptional) one.standard = value;
  }
  if (controls.has("model")) controls.get("model").standard = models[0].id;
  if (controls.has("seed")) controls.get("seed").standard = "random";
}

async function submit(onAccepted, both) {
  showErrors([]);
  const faults = [...controls].filter(([path, one]) => isSent(path) && one.fault).map(([field, one]) => ({ field, message: one.fault }));
  const request = read();
  if (!request.prompt) faults.unshift({ field: "prompt", message: "Say what the picture should show." });
  if (faults.length) return showErrors(faults);
  const buttons = form.querySelectorAll("button[type=submit]");
  buttons.forEach((button) => (button.disabled = true));
  try {
    if (both) await submitBoth({ ...request, guidance: request.guidance ?? AT_FIRST.guidance }, onAccepted);
    else onAccepted(await submitOnce(request));
  } catch (error) {
    showErrors(error.problem?.errors ?? [{ field: "", message: reasonOf(error) }]);
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

// Show each error at its field or at the field that contains it, the others at the end of the form.
function showErrors(errors) {
  const elsewhere = [];
  for (const one of controls.values()) one.error = "";
  const found = errors.map(({ field, message }) => {
    const path = [field, ...field.split(".").map((_, index, parts) => parts.slice(0, -index - 1).join("."))].find((name) => controls.has(name));
    if (path === undefined) elsewhere.push(field ? `${field}: ${message}` : message);
    else controls.get(path).error = path === field ? message : `${field}: ${message}`;
    return path;
  });
  find("form-error").textContent = elsewhere.join(" ");
  const first = found.find((path) => path !== undefined);
  if (first === undefined) return;
  if (controls.get(first).field) find("options").open = true;
  controls.get(first).focus();
}
