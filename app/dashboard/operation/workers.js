// The workers that are alive, those that went of late, and the models.

import { listModels, listWorkers, serverNow } from "../server/api.js";
import { element, list, set } from "../parts/dom.js";
import { copyBox } from "../parts/copy.js";
import { ago, count, duration } from "../parts/words.js";

const LATE_S = 10; // three heartbeats were missed, and what of a fourth the way here took

export class Workers {
  title = "Workers";
  #workers = element("div", { className: "cards" });
  #gone = element("div");
  #ages = []; // elements that tell how long ago a worker was heard of
  #models = element("div", { className: "cards" });
  #shown = "";

  constructor() {
    const heading = (text, properties = {}) => element("h2", { textContent: text, ...properties });
    this.node = element("section", { className: "stacked" }, heading("Workers", { tabIndex: -1 }), this.#workers, this.#gone, heading("Models"), this.#models);
  }

  async refresh() {
    const [{ data: workers, gone }, { data: models }] = await Promise.all([listWorkers(), listModels()]);
    const told = JSON.stringify([workers, gone, models]);
    // Cards are made anew, which must not take the focus from one of their links.
    if (told === this.#shown || this.node.contains(document.activeElement?.closest("a"))) return;
    this.#shown = told;
    this.#ages = workers.map(({ heartbeat_at: at }) => ({ at: Date.parse(at), node: element("p", { className: "heartbeat" }) }));
    this.#workers.replaceChildren(...(workers.length ? workers.map((worker, index) => workerCard(worker, this.#ages[index].node)) : [noWorker()]));
    this.#gone.replaceChildren(...goneOnes(gone));
    this.tick();
    this.#models.replaceChildren(...models.map((model) => modelCard(model, workers)));
  }

  // Tell the ages of the heartbeats anew.
  tick() {
    for (const { at, node } of this.#ages) {
      const age = Math.max(0, (serverNow() - at) / 1000);
      const isLate = age > LATE_S;
      set(node, "textContent", isLate ? `No heartbeat for ${duration(Math.floor(age))}` : `Heard of ${ago(age)}`);
      node.classList.toggle("late", isLate);
    }
  }
}

// Workers that stopped or were lost.
function goneOnes(gone) {
  if (gone.length === 0) return [];
  const line = ({ name, device, jobs, heartbeat_at: at, was_lost: wasLost }) => {
    const links = jobs.flatMap((id, index) => [index ? ", " : " with ", element("a", { href: `#/jobs/${id}`, textContent: `…${id.slice(-6)}`, title: id })]);
    const words = `${name} (${device}) ${wasLost ? "was lost" : "stopped"}; last heard of at ${new Date(at).toLocaleTimeString()}`;
    return element("li", { className: wasLost ? "lost" : "" }, words, ...(wasLost ? links : []));
  };
  const note = "A lost worker went without a word: it crashed, was killed, or cannot be reached. The end of its log tells more; the jobs that it ran are started again.";
  return [element("section", { className: "card" }, element("h3", { textContent: "Gone in the last hour" }), element("ul", { className: "gone" }, ...gone.map(line)), ...(gone.some(({ was_lost: wasLost }) => wasLost) ? [element("p", { className: "dim", textContent: note })] : []))];
}

function noWorker() {
  const words = element("strong", { textContent: "No worker is running" });
  return element("div", { className: "empty" }, words, "Jobs wait until there is one. Start it with:", copyBox("lodestar worker", "the command"));
}

function workerCard(worker, heartbeat) {
  const places = worker.jobs.length + worker.room;
  const left = worker.speed && worker.load ? `, about ${duration(worker.load / worker.speed)} of work left` : "";
  const jobs = worker.jobs.flatMap((id, index) => [index ? ", " : "", element("a", { href: `#/jobs/${id}`, textContent: `…${id.slice(-6)}`, title: id })]);
  return element("article", { className: "card" },
    element("h3", { textContent: worker.name }),
    heartbeat,
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
