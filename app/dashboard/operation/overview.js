// The last hour at a glance: throughput, waits, failures, and the queue now.

import { getHistory, getQueue } from "../server/api.js";
import { element, list } from "../parts/dom.js";
import { count, duration } from "../parts/words.js";
import { callersOf } from "./callers.js";

const WIDTH = 600;
const HEIGHT = 90;
const KINDS = ["succeeded", "failed", "canceled"];

export class Overview {
  title = "Overview";
  #now = element("div", { className: "card" });
  #chart = element("figure", { className: "card" });
  #times = element("div", { className: "card" });
  #callers = element("div", { className: "card" });
  #failures = element("div", { className: "card" });
  #shown = "";

  constructor() {
    this.node = element("section", { className: "stacked overview" }, element("h2", { textContent: "Overview", tabIndex: -1 }), element("div", { className: "cards" }, this.#now, this.#times), this.#chart, element("div", { className: "cards" }, this.#callers, this.#failures));
  }

  async refresh() {
    const [history, queue] = await Promise.all([getHistory(), getQueue()]);
    const key = JSON.stringify([history, queue]);
    // It is made anew, which must not take the focus from one of its links.
    if (key === this.#shown || this.node.contains(document.activeElement?.closest("a"))) return;
    this.#shown = key;
    this.#now.replaceChildren(element("h3", { textContent: "The queue now" }), list(nowOf(queue)));
    this.#times.replaceChildren(element("h3", { textContent: "Jobs of the last hour" }), list(timesOf(history)));
    this.#chart.replaceChildren(element("h3", { textContent: "Ended in each minute" }), ...chartOf(history));
    this.#callers.replaceChildren(element("h3", { textContent: "Work of the last hour, by caller" }), ...callersOf(history));
    this.#failures.replaceChildren(element("h3", { textContent: "Failures of the last hour" }), ...failuresOf(history));
  }
}

function nowOf({ jobs, workers, max_queued: most, eta_s: eta }) {
  const share = Math.round((100 * jobs.queued) / most);
  return [
    ["Running", count(jobs.running, "job")],
    ["Waiting", `${count(jobs.queued, "job")}: the queue is ${share} % full, of ${most}`],
    ["Empty in", jobs.queued === 0 ? "nothing waits" : workers === 0 ? "no worker is running" : eta === null ? "not known yet" : `about ${duration(Math.ceil(eta))}`],
    ["Workers", String(workers)],
  ];
}

function timesOf({ jobs, wait_s: wait, run_s: run, is_cut: isCut }) {
  const both = ({ p50, p95 }) => (p50 === null ? "no job" : `half within ${duration(p50)}, 95 of 100 within ${duration(p95)}`);
  return [
    ["Succeeded", `${jobs.succeeded}${isCut ? " of the latest 5000" : ""}`],
    ["Failed", String(jobs.failed)],
    ["Canceled", String(jobs.canceled)],
    ["Waited", both(wait)],
    ["Ran", both(run)],
  ];
}

// A bar for each minute.
function chartOf({ minutes }) {
  const most = Math.max(1, ...minutes.map((minute) => KINDS.reduce((sum, kind) => sum + minute[kind], 0)));
  const told = KINDS.map((kind) => `${minutes.reduce((sum, minute) => sum + minute[kind], 0)} ${kind}`).join(", ");
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "bars", preserveAspectRatio: "none", "aria-label": `${told} in the last hour; at most ${most} in a minute` });
  const step = WIDTH / minutes.length;
  minutes.forEach((minute, place) => {
    let top = HEIGHT;
    for (const kind of KINDS) {
      const height = (minute[kind] / most) * (HEIGHT - 2);
      top -= height;
      if (height) plot.append(svg("rect", { x: place * step + 1, y: top, width: step - 2, height, class: kind }));
    }
  });
  plot.append(svg("line", { x1: 0, y1: HEIGHT, x2: WIDTH, y2: HEIGHT, class: "axis" }));
  const ends = element("div", { className: "line dim ends-of" }, element("span", { textContent: "an hour ago" }), element("span", { textContent: `highest: ${most} in a minute` }), element("span", { textContent: "now" }));
  const legend = element("figcaption", { className: "legend" }, ...KINDS.map((kind) => element("span", { className: kind, textContent: kind })));
  return [plot, ends, legend];
}

function failuresOf({ failures }) {
  if (failures.length === 0) return [element("p", { className: "dim", textContent: "No job failed." })];
  const rows = failures.map(({ type, jobs, newest }) => element("li", {}, `${count(jobs, "job")}: ${type}. `, element("a", { href: `#/jobs/${newest}`, textContent: "See the latest" })));
  return [element("ul", { className: "failures" }, ...rows), element("p", {}, element("a", { href: "?status=failed#/", textContent: "All failed jobs" }))];
}

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
