// The workers that are alive, those that went of late, and the models.

import { changeWorker, getQueue, listModels, listWorkers, reasonOf, serverNow } from "../server/api.js";
import { element, list, set } from "../parts/dom.js";
import { copyBox } from "../parts/copy.js";
import { ago, count, duration } from "../parts/words.js";
import { startAdvice, startCommand } from "./starting.js";

const LATE_S = 10; // three heartbeats were missed, and what of a fourth the way here took

export class Workers {
  title = "Workers";
  #workers = element("div", { className: "cards" });
  #gone = element("div");
  #ages = []; // elements that tell how long ago a worker was heard of
  #models = element("div", { className: "cards" });
  #shown = "";
  #changed;

  // `changed` asks for all that the page shows, the line about the workers above too.
  constructor(changed) {
    this.#changed = changed;
    const heading = (text, properties = {}) => element("h2", { textContent: text, ...properties });
    this.node = element("section", { className: "stacked" }, heading("Workers", { tabIndex: -1 }), this.#workers, this.#gone, heading("Models"), this.#models);
  }

  async refresh() {
    const [{ data: workers, gone }, { data: models }, queue] = await Promise.all([listWorkers(), listModels(), getQueue()]);
    const told = JSON.stringify([workers, gone, models]);
    // Cards are made anew, which must not take the focus from one of their links.
    if (told === this.#shown || this.node.contains(document.activeElement?.closest("a"))) return;
    const logs = [...this.node.querySelectorAll(".end-of-log")];
    const open = new Set(logs.filter((log) => log.open).map((log) => log.dataset.name));
    const focused = document.activeElement?.closest(".end-of-log")?.dataset.name;
    const drained = document.activeElement?.closest(".drain")?.dataset.name;
    this.#shown = told;
    this.#ages = workers.map(({ heartbeat_at: at }) => ({ at: Date.parse(at), node: element("p", { className: "heartbeat" }) }));
    this.#workers.replaceChildren(...(workers.length ? workers.map((worker, index) => workerCard(worker, this.#ages[index].node, models, this.#changed)) : [noWorker(queue)]));
    this.#gone.replaceChildren(...goneOnes(gone));
    this.tick();
    // Logs that were unfolded stay so.
    for (const log of this.node.querySelectorAll(".end-of-log")) {
      log.open = open.has(log.dataset.name);
      if (log.dataset.name === focused) log.firstChild.focus({ preventScroll: true });
    }
    if (drained) [...this.node.querySelectorAll(".drain button")].find((button) => button.parentNode.dataset.name === drained)?.focus({ preventScroll: true });
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
  const line = ({ name, device, jobs, heartbeat_at: at, was_lost: wasLost, ending, log }) => {
    const links = jobs.flatMap((id, index) => [index ? ", " : " with ", element("a", { href: `#/jobs/${id}`, textContent: `…${id.slice(-6)}`, title: id })]);
    const words = `${name} (${device}) ${ending ?? (wasLost ? "was lost" : "stopped")}; last heard of at ${new Date(at).toLocaleTimeString()}`;
    return element("li", { className: wasLost ? "lost" : "" }, words, ...(wasLost ? links : []), ...endOf({ name, log }));
  };
  const note = "A lost worker went without a word: it crashed, was killed, or cannot be reached. The jobs that it ran are started again.";
  return [element("section", { className: "card" }, element("h3", { textContent: "Gone in the last hour" }), element("ul", { className: "gone" }, ...gone.map(line)), ...(gone.some(({ was_lost: wasLost }) => wasLost) ? [element("p", { className: "dim", textContent: note })] : []))];
}

// A line of a log: of JSON, its time, level, event and the rest.
function readable(line) {
  try {
    const { timestamp, level, event, exception, ...rest } = JSON.parse(line);
    const fields = Object.entries(rest).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
    const time = timestamp ? new Date(timestamp).toLocaleTimeString() : "";
    return [time, level, event, ...fields, ...(exception ? [`\n${exception}`] : [])].filter(Boolean).join(" ");
  } catch {
    return line; // of another form
  }
}

// The end of a log, folded.
function endOf({ name, log }) {
  if (!log?.length) return [];
  const text = element("pre", { tabIndex: 0, textContent: log.map(readable).join("\n"), role: "region", ariaLabel: `The end of the log of ${name}` });
  const made = element("details", { className: "end-of-log" }, element("summary", { textContent: "The end of its log" }), text);
  made.dataset.name = name;
  made.addEventListener("toggle", () => (text.scrollTop = text.scrollHeight)); // its last lines tell most
  return [made];
}

function noWorker(queue) {
  const words = element("strong", { textContent: "No worker is running" });
  const command = startCommand(queue);
  return element("div", { className: "empty" }, words, `Jobs wait until there is one. ${startAdvice(queue)}`, ...(command ? [copyBox(command, "the command")] : []));
}

function workerCard(worker, heartbeat, models, changed) {
  const places = worker.jobs.length + worker.room;
  const left = worker.speed && worker.load ? `, about ${duration(worker.load / worker.speed)} of work left` : "";
  const jobs = worker.jobs.flatMap((id, index) => [index ? ", " : "", element("a", { href: `#/jobs/${id}`, textContent: `…${id.slice(-6)}`, title: id })]);
  return element("article", { className: "card" },
    element("h3", { textContent: worker.name }),
    heartbeat,
    gauge("Slots", worker.jobs.length, Math.max(1, places), `${worker.jobs.length} of ${count(places, "slot")} taken${left}`),
    ...share("Busy", worker.busy_share, 1, (part) => `Busy ${Math.round(part * 100)} % of the last minute`),
    ...share("Memory", worker.memory_used_bytes, worker.memory_total_bytes, (part, whole) => `${gib(part)} of ${gib(whole)} GiB of memory`),
    list([
      ["Device", `${worker.device}, ${worker.dtype}, ${worker.attention} attention, ${count(worker.threads, "thread")}`],
      ...(worker.catalog_problem ? [["Catalog", element("span", { className: "late", textContent: `It serves the one before, for the changed file is wrong: ${worker.catalog_problem}` })]] : []),
      ["Loaded", worker.models.join(", ") || "no model yet"],
      ["Speed", speedWords(worker, models)],
      ["Jobs", jobs.length ? jobs : "none"],
      ["Since", new Date(worker.started_at).toLocaleString()],
    ]),
    drainOf(worker, changed),
    ...endOf(worker),
  );
}

// The button that drains a worker, or resumes one. `changed` shows what has become of it.
function drainOf({ name, draining, jobs }, changed) {
  const left = jobs.length ? `It finishes ${count(jobs.length, "job")}, and takes no other.` : "It takes no more jobs, and can be stopped.";
  const words = element("span", { role: "status", textContent: draining ? left : "" });
  const button = element("button", { type: "button", textContent: draining ? "Resume" : "Drain", title: draining ? "Let it take jobs again" : "Let it finish its jobs and take no other" });
  const made = element("p", { className: `drain${draining ? " drained" : ""}` }, button, words);
  made.dataset.name = name;
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try {
      await changeWorker(name, draining ? "resume" : "drain");
      await changed();
    } catch (error) {
      words.textContent = reasonOf(error);
    }
    button.ariaDisabled = "false";
  });
  return made;
}

// The speed in units of work, and in pictures of the first model that it holds: a unit is a row of a step at 64 × 64.
function speedWords({ speed, models: held }, models) {
  if (!speed) return "not measured yet";
  const units = `${speed.toFixed(1)} units of work a second`;
  const model = models.find(({ id }) => held.includes(id));
  if (!model) return units;
  const { width, height, steps, cfg_scale: scale } = model.defaults;
  const cost = Math.max(1, (width * height) / 4096) * (steps * (scale > 1 ? 2 : 1) + 1.4);
  return `about ${Math.round((60 * speed) / cost)} unguided pictures of ${model.id} a minute (${units})`;
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
      ["Defaults", `${defaults.steps} steps, ${defaults.sampler} (schedule ${defaults.schedule}), cfg_scale ${defaults.cfg_scale}`],
      ["Guided by", `${defaults.clip}; also ${model.clips.filter((id) => id !== defaults.clip).join(", ") || "none"}`],
      ["Loaded on", holders ? count(holders, "worker") : "no worker yet"],
    ]),
  );
}
