// One job of the list. A row is made once and then updated, so that focus and selection survive every poll.

import { serverNow } from "./api.js";
import { element, set } from "./dom.js";
import { pictureBox } from "./pictures.js";
import { ago, duration, subject } from "./words.js";

export class Row {
  #pictures;
  #badge = element("span", { className: "badge" });
  #age = element("time", { className: "age" });
  #cancel = element("button", { type: "button", textContent: "Cancel" });
  #bar = element("progress", { max: 1, ariaLabel: "Progress" });
  #steps = element("span");
  #advance = element("div", { className: "advance", hidden: true }, this.#bar, this.#steps);
  #reason = element("p", { className: "reason", hidden: true });
  #facts = element("p", { className: "facts" });
  #cancelling = false;

  constructor(job, onCancel) {
    const { request } = job;
    this.job = job;
    this.#pictures = pictureBox(request);
    this.#cancel.ariaLabel = `Cancel: ${subject(request)}`;
    this.#cancel.addEventListener("click", () => onCancel(this));
    const line = element("div", { className: "line" }, this.#badge, this.#age, this.#cancel);
    const prompt = element("p", { className: "prompt-text", textContent: subject(request), title: subject(request) });
    const body = element("div", { className: "body" }, line, prompt, this.#advance, this.#reason, this.#facts);
    this.node = element("li", { className: "card job" }, this.#pictures.box, body);
    this.#facts.append(...facts(job).map((fact) => element("span", { textContent: fact })));
    this.#facts.append(element("a", { href: job.urls.self, textContent: "JSON" }));
    this.update(job);
  }

  // Show that a cancel was asked for, before the server has said so.
  set cancelling(value) {
    this.#cancelling = value;
    this.update(this.job);
  }

  update(job) {
    this.job = job;
    const over = !["queued", "running"].includes(job.status);
    const cancelling = !over && (this.#cancelling || job.cancel_requested);
    const status = cancelling ? "cancelling" : job.status;
    set(this.node.dataset, "status", status);
    set(this.#badge, "textContent", label(job, status));
    set(this.#age, "dateTime", job.finished_at ?? job.created_at);
    set(this.#age, "title", new Date(job.created_at).toLocaleString());
    set(this.#cancel, "hidden", over);
    set(this.#cancel, "disabled", cancelling);
    this.#showProgress(job);
    set(this.#reason, "hidden", !job.error);
    if (job.error) set(this.#reason, "textContent", `${job.error.message} (${job.error.type})`);
    this.#pictures.show(job);
    this.tick();
  }

  // Tell the age anew.
  tick() {
    const { job } = this;
    const since = (time) => (serverNow() - Date.parse(time)) / 1000;
    let words = ago(since(job.created_at));
    if (job.status === "running" && job.started_at) words = `for ${duration(Math.max(0, Math.floor(since(job.started_at))))}`;
    if (job.finished_at) words = ago(since(job.finished_at));
    if (job.status === "succeeded") words += `, took ${duration(job.metrics.execution_s)}`;
    set(this.#age, "textContent", words);
  }

  #showProgress(job) {
    set(this.#advance, "hidden", job.status !== "running");
    if (job.status !== "running") return;
    const { step, steps, fraction, eta_s: eta } = job.progress;
    if (steps) set(this.#bar, "value", fraction);
    else this.#bar.removeAttribute("value");
    const left = eta === null ? "" : `, ${duration(Math.ceil(eta))} left`;
    set(this.#steps, "textContent", steps ? `${step} of ${steps} steps${left}` : "loading the model");
  }
}

function label(job, status) {
  if (status === "queued") return job.queue_position ? `queued, ${job.queue_position} before it` : "queued, next";
  if (status === "running" && job.attempts > 1) return `running, attempt ${job.attempts}`;
  return status;
}

function facts({ request }) {
  if (request.kind) return [request.clip];
  const { guidance, personalization, select } = request;
  return [
    request.model,
    `${request.width} × ${request.height}`,
    `${request.steps} steps`,
    `seed ${request.seed}`,
    ...(request.images > 1 ? [select ? `best ${select.keep} of ${request.images}` : `${request.images} pictures`] : []),
    ...(personalization ? [`towards ${personalization.embedding}, ${personalization.steps} steps`] : []),
    guidance ? `guided by ${guidance.clip}, scale ${guidance.scale}` : "not guided",
  ];
}
