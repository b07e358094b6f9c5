// The form for new jobs: every field of a request, from the API's own schema. Empty fields are not sent.

import { Refused, Unreachable, getCatalog, getDescription, getModels, reasonOf } from "../server/api.js";
import { set } from "../parts/dom.js";
import { count } from "../parts/words.js";
import { History } from "./history.js";
import { Options } from "./options.js";
import { Room } from "./room.js";
import { presetOf, showStandards } from "./standards.js";
import { Start } from "./start.js";
import { submitBoth, submitOnce } from "./submission.js";
import { Sweep, SweepError } from "../sweeps/sweep.js";
import { Vocabulary } from "./vocabulary.js";

const AT_FIRST = { guidance: { trace: true }, preview_every_steps: 5 }; // sent unless the form says otherwise
const DRAFT = "lodestar-draft";
const EXPLAIN = "lodestar-explain";
const UNSURE = "The server could not be reached, so we cannot tell whether it got this. Pressing again makes no second job.";
const RETRY_MS = 3000;
const ACCEPTED_MS = 15000;

const find = (id) => document.getElementById(id);
const form = find("form");
const controls = new Map(); // by the dotted name of the field
const groups = new Map(); // checkboxes that say whether an object is sent, by its name
let models = [];
let built = null;
let start = null; // the part of the form that takes pictures
let vocabulary = null; // the part that knows what the model knows
const room = new Room(); // the part that waits while the queue is full
let sweep = null; // the part that makes many jobs of one request
let outage = false; // the error that is shown says that the server could not be reached
let accepted = 0; // timer of the words that say so
let isBusy = false; // a request is on its way

export function watchForm(onAccepted) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(onAccepted, event.submitter?.id === "both");
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(find("generate"));
  });
  form.addEventListener("input", () => {
    room.forget(); // it was for what stood there
    changed();
  });
  find("form-error").after(room.node);
  new History(find("history"), find("prompt"));
  watchTools();
  controls.set("prompt", staticPrompt());
  vocabulary = new Vocabulary(find("vocabulary"), find("prompt"));
  groups.set("guidance", find("guidance"));
  sweep = new Sweep(find("sweep"), tellButtons);
  start = new Start(find("start"), () => !find("home").hidden && !document.querySelector("dialog[open]"), changed);
  for (const [path, one] of start.controls) controls.set(path, one);
  for (const [name, box] of start.switches) groups.set(name, box);
  begin();
  fill(draft() ?? AT_FIRST);
}

// Fill the form as soon as there is one. What is there before it may be in use by then: it stays as it is.
function begin() {
  const early = new Set([...controls.keys(), ...groups.keys()]);
  ready().then(() => fill(draft() ?? AT_FIRST, (name) => early.has(name))).catch((error) => {
    find("fields").firstChild.textContent = "The options cannot be loaded. Trying again…";
    if (error instanceof Refused || error instanceof Unreachable) setTimeout(begin, RETRY_MS);
    else reportError(error);
  });
}

// The server can be reached: what says that it cannot is no longer true. The queue may have room again.
export function tellQueue(queue) {
  if (outage) showErrors([]);
  room.look(queue);
}

// What stands beside the options: all anew, with or without explanations, and a seed that is no longer pinned.
function watchTools() {
  find("reset").addEventListener("click", () => {
    fill({ ...AT_FIRST, prompt: controls.get("prompt").read() });
    changed();
  });
  const explain = find("explain");
  explain.checked = isExplained();
  const show = () => find("fields").classList.toggle("unexplained", !explain.checked);
  show();
  explain.addEventListener("change", () => {
    show();
    try {
      localStorage.setItem(EXPLAIN, explain.checked ? "yes" : "no");
    } catch {
      // it holds until the page is closed
    }
  });
  find("unpin").addEventListener("click", () => {
    controls.get("seed")?.write(undefined);
    changed();
    find("generate").focus();
  });
}

// A phone has little room: there a field explains itself only on demand.
function isExplained() {
  const usual = matchMedia("(min-width: 561px)").matches ? "yes" : "no";
  try {
    return (localStorage.getItem(EXPLAIN) ?? usual) === "yes";
  } catch {
    return usual === "yes";
  }
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
  built ??= Promise.all([getDescription(), getModels(), getCatalog()]).then(build).catch((error) => {
    built = null;
    throw error;
  });
  return built;
}

function build([{ components: { schemas } }, known, catalog]) {
  models = known;
  find("fields").replaceChildren(...new Options(controls, groups).build(schemas, models, catalog));
  sweep.offer([{ path: "prompt", kind: "text" }, ...[...controls.values()].map(({ field }) => field).filter(Boolean)]);
  tellButtons();
  tellStandards();
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
  if (request.mask && Object.keys(request.mask).length === 0) delete request.mask; // what is added says it all
  return request;
}

function fill(request, isKept = () => false) {
  for (const [path, one] of controls) {
    if (isKept(path)) continue;
    one.write(valueAt(request, path));
    one.error = "";
  }
  for (const [name, box] of groups) {
    if (!start.switches.has(name) && !isKept(name)) box.checked = Boolean(request[name]);
    box.showSwitch?.();
  }
  start.settle();
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
  const given = [...controls].filter(([path, one]) => isOption(path) && isSent(path) && ![undefined, valueAt(AT_FIRST, path)].includes(one.read())).map(([, one]) => one);
  const words = (number) => (number ? ` (${number} set)` : "");
  find("set-count").textContent = words(given.length);
  for (const tier of find("fields").querySelectorAll(".tier")) {
    set(tier.querySelector(".set-here"), "textContent", words(given.filter(({ node }) => tier.contains(node)).length));
  }
  const seed = controls.get("seed")?.read();
  set(find("pinned"), "hidden", seed === undefined);
  set(find("unpin"), "textContent", `Seed ${seed}: draw a new one each time`);
}

const valueAt = (request, path) => path.split(".").reduce((value, name) => value?.[name], request);
const isOption = (path) => path !== "prompt" && !start.controls.has(path); // a field among all options
const isSent = (path) => !path.includes(".") || groups.get(path.split(".")[0]).checked;

function tellStandards() {
  const model = showStandards(controls, groups, models);
  if (!model) return;
  vocabulary.model = model;
  for (const one of controls.values()) one.suit?.(model.id);
  start.suit(model.kind === "edit");
  const { id, cost } = presetOf(controls, model) ?? {};
  const price = typeof cost === "number" ? ` With ${id}, a step takes ${cost} times as long.` : "";
  set(find("guidance-hint"), "textContent", `CLIP looks at the picture while it is drawn, and steers it towards your prompt.${price}`);
}

async function submit(onAccepted, both) {
  if (isBusy) return;
  showErrors([]);
  room.forget();
  const faults = [...controls].filter(([path, one]) => isSent(path) && one.fault).map(([field, one]) => ({ field, message: one.fault }));
  const request = read();
  if (request.image_prompts) request.prompt ??= ""; // they may say all
  else if (!request.prompt) faults.unshift({ field: "prompt", message: "Say what the picture should show." });
  if (faults.length) return showErrors(faults);
  busy(true);
  try {
    if (sweep.isUsed) return await sweep.submit(request);
    if (both) await submitBoth({ ...request, guidance: request.guidance ?? AT_FIRST.guidance }, onAccepted);
    else {
      const job = await submitOnce(request);
      onAccepted(job);
      find("keep-seed").onclick = () => {
        controls.get("seed")?.write(job.request.seed);
        changed();
      };
    }
    set(find("keep-seed"), "hidden", both || request.seed !== undefined);
    set(find("accepted"), "hidden", false);
    clearTimeout(accepted);
    accepted = setTimeout(() => set(find("accepted"), "hidden", true), ACCEPTED_MS);
  } catch (error) {
    if (error.problem?.type === "/errors/queue_full" && !both && !sweep.isUsed) return room.wait(error.message, () => submit(onAccepted, both));
    const isUnsure = error instanceof Unreachable || error.problem?.type === "/errors/queue_unavailable";
    showErrors(error.problem?.errors ?? [{ field: "", message: isUnsure ? UNSURE : error instanceof SweepError ? error.message : reasonOf(error) }]);
    outage = isUnsure;
  } finally {
    busy(false);
  }
}

function tellButtons() {
  set(find("generate"), "textContent", !sweep.isUsed ? "Generate" : sweep.size ? `Make ${count(sweep.size, "job")}` : "Make the sweep");
  set(find("both"), "hidden", sweep.isUsed);
}

// Not by `disabled`, which would take the focus away.
function busy(value) {
  isBusy = value;
  if (value) set(find("accepted"), "hidden", true);
  for (const button of form.querySelectorAll("button[type=submit]")) button.ariaDisabled = String(value);
}

// Show each error at its field or at the field that contains it, the others at the end of the form.
function showErrors(errors) {
  const elsewhere = [];
  outage = false;
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
  for (let folded = controls.get(first).node?.closest("details"); folded; folded = folded.parentElement.closest("details")) folded.open = true;
  controls.get(first).focus();
}
