// The workers that are alive, and the models.

import { listModels, listWorkers } from "../server/api.js";
import { element } from "../parts/dom.js";
import { copyBox } from "../parts/copy.js";
import { count, duration } from "../parts/words.js";

export class Workers {
  title = "Workers";
  #workers = element("div", { className: "cards" });
  #models = element("div", { className: "cards" });
  #shown = "";

  constructor() {
    const heading = (text, properties = {}) => element("h2", { textContent: text, ...properties });
    this.node = element("section", { className: "stacked" }, heading("Workers", { tabIndex: -1 }), this.#workers, heading("Models"), this.#models);
  }

  async refresh() {
    const [{ data: workers }, { data: models }] = await Promise.all([listWorkers(), listModels()]);
    const told = JSON.stringify([workers, models]);
    // Cards are made anew, which must not take the focus from one of their links.
    if (told === this.#shown || this.node.contains(document.activeElement?.closest("a"))) return;
    this.#shown = told;
    this.#workers.replaceChildren(...(workers.length ? workers.map(workerCard) : [noWorker()]));
    this.#models.replaceChildren(...models.map((model) => modelCard(model, workers)));
  }
}

function noWorker() {
  const words = element("strong", { textContent: "No worker is running" });
  return element("div", { className: "empty" }, words, "Jobs wait until there is one. Start it with:", copyBox("lodestar worker", "the command"));
}

function workerCard(worker) {
  const places = worker.jobs.length + worker.room;
  const left = worker.speed && worker.load ? `, about ${duration(worker.load / worker.speed)} of work left` : "";
  const jobs = worker.jobs.flatMap((id, index) => [index ? ", " : "", element("a", { href: `#/jobs/${id}`, textContent: `…${id.slice(-6)}`, title: id })]);
  return element("article", { className: "card" },
    element("h3", { textContent: worker.name }),
    gauge("Places taken", worker.jobs.length, Math.max(1, places), `${worker.jobs.length} of ${count(places, "place")} taken${left}`),
    ...share("Busy", worker.busy_share, 1, (part) => `Busy ${Math.round(part * 100)} % of the last minute`),
    ...share("Memory", worker.memory_used_bytes, worker.memory_total_bytes, (part, whole) => `${gib(part)} of ${gib(whole)} GiB of memory`),
    list([
      ["Device", `${worker.device}, ${worker.dtype}, ${worker.attention} attention, ${count(worker.threads, "thread")}`],
      ["Loaded", worker.models.join(", ") || "no model yet"],
      ["Speed", worker.speed ? `${worker.speed.toFixed(1)} units of work a second` : "not measured yet"],
      ["Jobs", jobs.length ? jobs : "none"],
      ["Since", new Date(worker.started_at).toLocaleString()],
    ]),
  );
}

// A meter of use, with words.
function gauge(label, value, max, words) {
  return element("div", { className: "advance gauge" }, element("meter", { min: 0, max, value, ariaLabel: label }), element("span", { textContent: words }));
}

// Likewise, for a value that a worker may not report.
function share(label, value, max, words) {
  const isTold = typeof value === "number" && typeof max === "number";
  return isTold ? [gauge(label, value, max, words(value, max))] : [];
}

const gib = (bytes) => (bytes / 2 ** 30).toFixed(1);

function modelCard(model, workers) {
  const { sizes, defaults } = model;
  const holders = workers.filter(({ models }) => models.includes(model.id)).length;
  return element("article", { className: "card" },
    element("h3", { textContent: model.id }),
    element("p", { className: "dim", textContent: model.description }),
    list([
      ["Size", `${defaults.width} × ${defaults.height}; ${sizes.min_px} to ${sizes.max_px} in steps of ${sizes.multiple_px}`],
      ["By default", `${defaults.steps} steps, ${defaults.sampler} (schedule ${defaults.schedule}), cfg_scale ${defaults.cfg_scale}`],
      ["Guided by", `${defaults.clip}; also ${model.clips.filter((id) => id !== defaults.clip).join(", ") || "none"}`],
      ["Ready in", count(holders, "worker")],
    ]),
  );
}

// Names and what they mean, as a description list.
export function list(pairs) {
  const rows = pairs.map(([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", {}, ...[value].flat())));
  return element("dl", { className: "list" }, ...rows);
}
