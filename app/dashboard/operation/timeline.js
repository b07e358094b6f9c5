// The turns of a job's life: when it was queued, started, lost, queued again and done, and how long each state lasted.

import { getTimeline } from "../server/api.js";
import { element, set } from "../parts/dom.js";
import { duration } from "../parts/words.js";

export class TimelineCard {
  node;
  #list = element("ol", { className: "timeline" });
  #note = element("p", { className: "dim", hidden: true });
  #shown = "";

  constructor() {
    this.node = element("section", { className: "card", hidden: true }, element("h3", { textContent: "Timeline" }), this.#list, this.#note);
  }

  // Read the timeline of a job anew.
  async refresh(id) {
    const { data, is_complete: isComplete } = await getTimeline(id);
    const key = JSON.stringify(data);
    // Lines are made anew, which must not take the focus from one of their links.
    if (key === this.#shown || this.#list.contains(document.activeElement)) return;
    this.#shown = key;
    set(this.node, "hidden", data.length === 0);
    this.#list.replaceChildren(...data.map((moment, index) => line(moment, data.slice(index + 1).find(({ type }) => type !== "log"))));
    set(this.#note, "hidden", isComplete);
    set(this.#note, "textContent", "Earlier events of this job are kept no longer.");
  }
}

function line(moment, next) {
  const { at, type } = moment;
  const time = element("time", { dateTime: at, textContent: new Date(at).toLocaleTimeString(), title: new Date(at).toLocaleString() });
  const lasted = next && type in LASTED ? element("span", { className: "dim", textContent: `${LASTED[type]} ${duration(Math.max(0, (Date.parse(next.at) - Date.parse(at)) / 1000))}` }) : "";
  const made = element("li", {}, time, element("span", { textContent: WORDS[type](moment) }), lasted);
  made.dataset.kind = moment.reason === "worker_lost" ? "lost" : (moment.status ?? type);
  return made;
}

const LASTED = { queued: "waited", started: "ran" };
const REASONS = {
  submitted: "Queued",
  worker_lost: "Its worker was lost: it was heard of no more. Queued again",
  released: "Its worker gave it back. Queued again",
};
const WORDS = {
  queued: ({ reason }) => REASONS[reason] ?? "Queued again",
  started: ({ worker, attempt }) => `Started on ${worker}${attempt > 1 ? `, attempt ${attempt}` : ""}`,
  log: ({ message }) => message,
  canceling: () => "A cancel was requested",
  done: ({ status }) => ({ succeeded: "Done", failed: "Failed", canceled: "Canceled" })[status],
};
