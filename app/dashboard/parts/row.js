// One job of the list. A row is made once and then updated, so that focus and selection survive every refresh.

import { picturesUrl, serverNow } from "../server/api.js";
import { element, set } from "./dom.js";
import { pictureBox, scores } from "./pictures.js";
import { areOff } from "./keys.js";
import { labelLink } from "../many/labels.js";
import { enter } from "../many/moving.js";
import { Sure } from "../many/sure.js";
import { Advance } from "./advance.js";
import { ago, duration, failureTitle, promptOf, statusWords } from "./words.js";

export class Row {
  #pictures;
  #badge = element("span", { className: "badge" });
  #age = element("time", { className: "age" });
  #cancel = element("button", { type: "button", textContent: "Cancel" });
  #retry = element("button", { type: "button", textContent: "Retry" });
  #vary = element("button", { type: "button", textContent: "New variation" });
  #file = element("a", { className: "button", textContent: "Download" });
  #delete;
  #advance = new Advance();
  #reason = element("p", { className: "reason", hidden: true });
  #result = element("p", { className: "result", hidden: true });
  #facts = element("p", { className: "facts" });
  #canceling = false;

  constructor(job, { onCancel, onRetry, onVary, onDelete }) {
    const prompt = promptOf(job);
    this.job = job;
    this.#pictures = pictureBox(job.request);
    this.#cancel.ariaLabel = `Cancel: ${prompt}`;
    this.#cancel.addEventListener("click", () => this.#cancel.ariaDisabled === "true" || onCancel(this));
    this.#retry.ariaLabel = `Retry: ${prompt}`;
    this.#retry.addEventListener("click", () => onRetry(this.job, this.#retry));
    this.#vary.ariaLabel = `New variation: ${prompt}`;
    this.#vary.addEventListener("click", () => onVary(this.job, this.#vary));
    this.#file.ariaLabel = `Download: ${prompt}`;
    this.#delete = new Sure((_, isSure) => (isSure ? "Delete: sure?" : "Delete"), () => onDelete(this));
    this.#delete.node.ariaDescription = prompt;
    const ways = element("span", { className: "ways" }, this.#file, this.#delete.node, this.#cancel, this.#retry, this.#vary);
    const line = element("div", { className: "line" }, this.#badge, this.#age, ways);
    const link = element("a", { href: `#/jobs/${job.id}`, textContent: prompt, title: prompt });
    const body = element("div", { className: "body" }, line, element("p", { className: "prompt-text" }, link));
    body.append(this.#advance.node, this.#reason, this.#result, this.#facts);
    this.node = element("li", { className: "card job" }, this.#pictures.box, body);
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "c" || areOff() || this.#cancel.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
      event.stopPropagation();
      this.#cancel.click();
    });
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
    if (over && document.activeElement === this.#cancel) enter(this.node);
    set(this.#cancel, "hidden", over);
    set(this.#cancel, "ariaDisabled", String(canceling));
    set(this.#retry, "hidden", !["failed", "canceled"].includes(job.status) || job.request.kind !== undefined);
    set(this.#vary, "hidden", job.status !== "succeeded" || job.request.kind !== undefined);
    this.#delete.tell(over ? 1 : 0);
    set(this.#file, "hidden", job.images.length === 0);
    if (job.images.length === 1) [this.#file.href, this.#file.download] = [`${job.images[0].url}.png`, `${job.id}-0.png`];
    else if (job.images.length) [this.#file.href, this.#file.download] = [picturesUrl(job.id), `${job.id}.zip`];
    set(this.#result, "hidden", !job.result);
    set(this.#result, "textContent", job.result ? resultWords(job.result) : "");
    this.#advance.show(job);
    set(this.#reason, "hidden", !job.error);
    if (job.error) set(this.#reason, "textContent", failureTitle(job.error));
    set(this.#reason, "title", job.error?.type ?? "");
    this.#pictures.show(job);
    this.tick();
  }

  preview(event) {
    this.#pictures.preview(event);
  }

  // Tell the age anew.
  tick() {
    const { job } = this;
    this.#advance.tick();
    const since = (time) => (serverNow() - Date.parse(time)) / 1000;
    let words = ago(since(job.created_at));
    if (job.status === "running" && job.started_at) words = `for ${duration(Math.max(0, Math.floor(since(job.started_at))))}`;
    if (job.finished_at) words = ago(since(job.finished_at));
    if (job.status === "succeeded") words += `, took ${duration(job.metrics.execution_s ?? 0)}`;
    set(this.#age, "textContent", words);
  }
}

// What came of a job that makes no picture.
function resultWords(result) {
  switch (result.kind) {
    case "scores": return result.pictures.map(scores).map((told) => told.join(", ") || "no score").join(" · ");
    case "description": return `“${result.caption}”, similarity ${result.similarity.toFixed(3)}`;
    case "place": return `Its place among the pictures, as ${result.clip} sees it`;
    default: return `The aesthetic embedding ${result.name}`;
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
