// The form for a new job. Fields that are left empty are not sent: the server fills them in.

import { Refused, listModels, submitJob } from "./api.js";
import { element } from "./dom.js";

const form = document.getElementById("form");
const formError = document.getElementById("form-error");
const button = form.querySelector("button[type=submit]");

// A key stays with a request until it is answered, so that trying again after a lost answer makes no second job.
let pending = { body: "", key: "" };

export function watchForm(onAccepted) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(onAccepted);
  });
  form.elements.prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  offerModels();
}

async function submit(onAccepted) {
  showErrors([]);
  const request = read();
  if (!request.prompt) return showErrors([{ field: "prompt", message: "Say what the picture should show." }]);
  if (Number.isNaN(request.seed)) return showErrors([{ field: "seed", message: "A whole number, or nothing for a random one." }]);
  button.disabled = true;
  try {
    const job = await submitJob(request, keyFor(request));
    pending = { body: "", key: "" };
    onAccepted(job);
  } catch (error) {
    if (error instanceof Refused) showErrors(error.problem.errors ?? [{ field: "", message: error.message }]);
    else showErrors([{ field: "", message: "The server could not be reached. Nothing was lost: try again." }]);
  } finally {
    button.disabled = false;
  }
}

function read() {
  const { prompt, seed, model, guidance } = form.elements;
  const request = { prompt: prompt.value.trim() };
  if (seed.value.trim()) request.seed = /^\d+$/.test(seed.value.trim()) ? Number(seed.value) : NaN;
  if (model.selectedIndex > 0) request.model = model.value;
  if (guidance.checked) request.guidance = {};
  return request;
}

function keyFor(request) {
  const body = JSON.stringify(request);
  if (body !== pending.body) {
    // Not crypto.randomUUID: browsers offer that over https only.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    pending = { body, key: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  return pending.key;
}

function showErrors(errors) {
  const elsewhere = errors.filter(({ field }) => !document.getElementById(`${field}-error`));
  formError.textContent = elsewhere.map(({ field, message }) => (field ? `${field}: ${message}` : message)).join(" ");
  for (const name of ["prompt", "seed", "model"]) {
    const found = errors.find(({ field }) => field === name);
    document.getElementById(`${name}-error`).textContent = found?.message ?? "";
    form.elements[name].ariaInvalid = found ? "true" : "false";
  }
  form.querySelector("[aria-invalid=true]")?.focus();
}

async function offerModels() {
  try {
    const { data } = await listModels();
    form.elements.model.replaceChildren(...data.map(({ id }) => element("option", { textContent: id })));
    document.getElementById("model-field").hidden = data.length < 2;
  } catch {
    // Without the list the form still works: the server picks its default model.
  }
}
