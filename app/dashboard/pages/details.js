// What was asked and what it took: a line in short, what was changed from the defaults, and every field.

import { requestAgain } from "../server/actions.js";
import { copyButton } from "../parts/copy.js";
import { element, list } from "../parts/dom.js";
import { duration } from "../parts/words.js";

export class Details {
  node;
  #line = element("p", { className: "facts" });
  #ids = element("div", { className: "buttons" });
  #changed = element("div");
  #all = element("div");
  #asked = null; // what was changed, once it is known

  constructor() {
    const everything = element("details", {}, element("summary", { textContent: "Every field" }), this.#all);
    this.node = element("section", { className: "card details-of", hidden: true }, element("h3", { textContent: "Details" }), this.#line, this.#ids, this.#changed, everything);
  }

  show(job) {
    const { id, request } = job;
    this.node.hidden = false;
    this.#line.replaceChildren(...inShort(job).map((fact) => element("span", { textContent: fact })));
    if (this.#ids.childElementCount === 0) {
      const seed = request.seed === undefined ? [] : [copyButton(() => String(request.seed), "Copy the seed")];
      this.#ids.append(...seed, copyButton(() => id, "Copy the id"));
    }
    this.#all.replaceChildren(...grouped(request), ...group("Job", factsOf(job)));
    if (this.#asked || request.kind) return;
    this.#asked = requestAgain(request).then(({ prompt, ...changed }) => {
      const rows = flat(changed);
      this.#changed.replaceChildren(element("h4", { textContent: "Changed from the defaults" }), rows.length ? list(rows) : element("p", { className: "dim", textContent: "Nothing." }));
    }).catch(() => (this.#asked = null)); // then it is asked for again
  }
}

function inShort({ request, metrics, worker }) {
  const { guidance } = request;
  const took = metrics.execution_s === null ? [] : [`ran ${duration(metrics.execution_s)}`];
  if (request.kind) return [...took, ...(worker ? [worker] : [])];
  return [
    request.model,
    `${request.width} × ${request.height}`,
    `${request.steps} steps of ${request.sampler}`,
    `CFG scale ${request.cfg_scale}`,
    `seed ${request.seed}`,
    guidance ? `guided by ${guidance.clip} with ${guidance.preset}, scale ${guidance.scale}` : "not guided",
    ...took,
  ];
}

// The fields, and under a heading of its own those of each object: their names are short then.
function grouped(request) {
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const plain = Object.entries(request).filter(([, value]) => !isObject(value));
  const nested = Object.entries(request).filter(([, value]) => isObject(value));
  return [list(flat(Object.fromEntries(plain))), ...nested.flatMap(([name, value]) => group(name, flat(value)))];
}

const group = (title, rows) => (rows.length ? [element("h4", { textContent: title }), list(rows)] : []);

function factsOf(job) {
  const { metrics } = job;
  return [
    ["attempts", job.starts > job.attempts ? `${job.attempts} that count, ${job.starts} starts` : String(job.attempts)],
    ...(job.worker ? [["worker", job.worker]] : []),
    ...(job.caller ? [["caller", job.caller]] : []),
    ...(metrics.queue_s === null ? [] : [["waited", duration(metrics.queue_s)]]),
    ...(metrics.execution_s === null ? [] : [["ran", duration(metrics.execution_s)]]),
    ["submitted", new Date(job.created_at).toLocaleString()],
    ...(job.webhook ? [["webhook", `${job.webhook.url}: ${job.webhook.status}${job.webhook.last_error ? ` (${job.webhook.last_error})` : ""}`]] : []),
    ["id", job.id],
  ];
}

// Fields of fields with dots, as they are written in a form.
function flat(fields, before = "") {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (value === null || value === "" || value.length === 0) return [];
    const isPlain = typeof value === "object" && !Array.isArray(value);
    return isPlain ? flat(value, `${before}${name}.`) : [[before + name, typeof value === "object" ? JSON.stringify(value) : String(value)]];
  });
}
