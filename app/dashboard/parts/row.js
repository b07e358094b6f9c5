// One job of the list. A row is made once and then updated, so that focus and selection survive every refresh.

import { serverNow } from "../server/api.js";
import { element, set } from "./dom.js";
import { pictureBox } from "./pictures.js";
import { labelLink } from "../many/labels.js";
import { Advance } from "./advance.js";
import { ago, duration, promptOf, statusWords } from "./words.js";

export class Row {
  #pictures;
  #badge = element("span", { className: "badge" });
  #age = element("time", { className: "age" });
  #cancel = element("button", { type: "button", textContent: "Cancel" });
  #retry = element("button", { type: "button", textContent: "Retry" });
  #advance = new Advance();
  #reason = element("p", { className: "reason", hidden: true });
  #facts = element("p", { className: "facts" });
  #canceling = false;

  constructor(job, { onCancel, onRetry }) {
    const prompt = promptOf(job);
    this.job = job;
    this.#pictures = pictureBox(job.request);
    this.#cancel.ariaLabel = `Cancel: ${prompt}`;
    this.#cancel.addEventListener("click", () => onCancel(this));
    this.#retry.ariaLabel = `Retry: ${prompt}`;
    this.#retry.addEventListener("click", () => onRetry(this.job, this.#retry));
    const line = element("div", { className: "line" }, this.#badge, this.#age, this.#cancel, this.#retry);
    const link = element("a", { href: `#/jobs/${job.id}`, textContent: prompt, title: prompt });
    const body = element("div", { className: "body" }, line, element("p", { className: "prompt-text" }, link));
    body.append(this.#advance.node, this.#reason, this.#facts);
    this.node = element("li", { className: "card job" }, this.#pictures.box, body);
    this.#facts.append(...facts(job).map((fact) => element("span", { textContent: fact })), ...(job.request.labels ?? []).map(labelLink));
    this.update(job);
  }

  // Show that a cancel was asked for, before the server has said so.
  set canceling(value) {
    this.#canceling = value;
    this.update(this.job);
  }

  update(job) {
    this.job = job;
    const over = !["queued", "running"].includes(job.status);
    const canceling = !over && (this.#canceling || job.cancel_requested);
    set(this.node.dataset, "status", canceling ? "canceling" : job.status);
    set(this.#badge, "textContent", statusWords(job, canceling));
    set(this.#age, "dateTime", job.finished_at ?? job.created_at);
    set(this.#age, "title", new Date(job.created_at).toLocaleString());
    set(this.#cancel, "hidden", over);
    set(this.#cancel, "disabled", canceling);
    set(this.#retry, "hidden", !["failed", "canceled"].includes(job.status) || job.request.kind !== undefined);
    this.#advance.show(job);
    set(this.#reason, "hidden", !job.error);
    if (job.error) set(this.#reason, "textContent", `${job.error.message} (${job.error.type})`);
    this.#pictures.show(job);
    this.tick();
  }

  preview(event) {
    this.#pictures.preview(event);
  }

  // Tell the age anew.
  tick() {
    const { job } = this;
    const since = (time) => (serverNow() - Date.parse(time)) / 1000;
    let words = ago(since(job.created_at));
    if (job.status === "running" && job.started_at) words = `for ${duration(Math.max(0, Math.floor(since(job.started_at))))}`;
    if (job.finished_at) words = ago(since(job.finished_at));
    if (job.status === "succeeded") words += `, took ${duration(job.metrics.execution_s ?? 0)}`;
    set(this.#age, "textContent", words);
  }
}

function facts({ request }) {
  const { guidance, init, mask, personalization, select } = request;
  if (request.kind) return [`by ${request.clip}`];
  return [
    request.model,
    `${request.width} × ${request.height}`,
    `${request.steps} steps`,
    `seed ${request.seed}`,
    ...(request.num_images > 1 ? [select ? `best ${select.keep} of ${request.num_images}` : `${request.num_images} pictures`] : []),
    ...(init ? [`${mask ? "a part of a picture anew" : "from a picture"}, strength ${init.strength}`] : []),
    ...(personalization ? [`towards ${personalization.embedding}, ${personalization.steps} steps`] : []),
    guidance ? `guided by ${guidance.clip}, scale ${guidance.scale}` : "not guided",
  ];
}
