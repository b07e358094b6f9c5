// Two pictures of any jobs: under a slider, side by side, in turns, or their difference; and what was asked differently.

import { getJob } from "../server/api.js";
import { Advance } from "../parts/advance.js";
import { Curtain } from "../parts/curtain.js";
import { element, set } from "../parts/dom.js";
import { Cells, scores } from "../parts/pictures.js";
import { promptOf, statusWords } from "../parts/words.js";
import { differing, shown, valueOf } from "../sweeps/plan.js";

const TURN_MS = 800;
const BRIGHTER = 4; // as style.css has it
const MODES = {
  slider: ["Slider", ""],
  side: ["Side by side", ""],
  flicker: ["Flicker", "The pictures take turns. The button changes them at once."],
  difference: ["Difference", `What is alike is black. Differences are ${BRIGHTER} times as bright as they are.`],
};
let mode = "slider"; // stays while the page is open

export class Compare {
  title = "Comparison";
  #sides;
  #curtain;
  #prompt = element("p", { className: "dim" });
  #hint = element("p", { className: "dim", role: "status" });
  #modes = element("div", { className: "filters", role: "group", ariaLabel: "Way to compare" });
  #flip = element("button", { type: "button", textContent: "Show the other one" });
  #asked = element("div");
  #shape = "";
  #turns = 0;

  // Each is the id of a job, for its first picture, or JOB/INDEX.
  constructor(first, second) {
    this.#sides = [new Side(first), new Side(second)];
    this.#curtain = new Curtain(...this.#sides.map(({ frame }) => frame), "Share of the first picture that is shown");
    const legend = element("div", { className: "sides" }, ...this.#sides.map(({ legend }) => legend));
    for (const [name, [words]] of Object.entries(MODES)) {
      const button = element("button", { type: "button", textContent: words, value: name });
      button.addEventListener("click", () => this.#show(name));
      this.#modes.append(button);
    }
    this.#flip.addEventListener("click", () => this.#turn());
    const line = element("div", { className: "line" }, this.#modes, this.#flip);
    this.node = element("section", { className: "stacked compare-page" }, element("h2", { textContent: "Compare", tabIndex: -1 }), this.#prompt, line, this.#curtain.node, this.#hint, legend, this.#asked);
    this.#show(mode);
  }

  close() {
    clearInterval(this.#turns);
  }

  async refresh() {
    const jobs = await Promise.all(this.#sides.map((side) => side.refresh()));
    const prompts = new Set(jobs.map(promptOf));
    set(this.#prompt, "textContent", prompts.size === 1 ? [...prompts][0] : "");
    const shape = JSON.stringify(jobs.map(({ request: { width, height } }) => [width, height]));
    if (shape !== this.#shape) this.#curtain.shape(jobs[0].request);
    if (shape !== this.#shape) this.#tellAsked(jobs);
    this.#shape = shape;
    this.#tellGain();
  }

  event(event) {
    for (const side of this.#sides) side.event(event);
    this.#tellGain();
  }

  #show(name) {
    mode = name;
    for (const button of this.#modes.children) button.ariaPressed = String(button.value === name);
    this.#curtain.mode = name;
    set(this.#hint, "textContent", MODES[name][1]);
    set(this.#flip, "hidden", name !== "flicker");
    clearInterval(this.#turns);
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches; // then a click alone changes them
    if (name === "flicker" && !isStill) this.#turns = setInterval(() => this.#turn(), TURN_MS);
  }

  #turn() {
    this.#curtain.node.classList.toggle("turned");
  }

  // By how much the second is better, where both have scores.
  #tellGain() {
    const [first, second] = this.#sides;
    second.gain = first.image && second.image && second.image.clip_score - first.image.clip_score;
  }

  #tellAsked(jobs) {
    const paths = differing(jobs).filter((path) => path !== "prompt" || promptOf(jobs[0]) !== promptOf(jobs[1]));
    if (paths.length === 0) return;
    const rows = paths.map((path) => element("tr", {}, element("th", { scope: "row", textContent: path }), ...jobs.map((job) => element("td", { textContent: shown(valueOf(job, path)) }))));
    const head = element("tr", {}, ...["Field", "First", "Second"].map((textContent) => element("th", { scope: "col", textContent })));
    this.#asked.replaceChildren(element("details", { className: "card" }, element("summary", { textContent: "What was asked differently" }), element("table", { className: "differences" }, element("thead", {}, head), element("tbody", {}, ...rows))));
  }
}

class Side {
  frame = element("div", { className: "frame" });
  legend = element("div", { className: "card" });
  #id;
  #index;
  #job = null;
  #gain = null;
  #cells = new Cells(this.frame, 1);
  #name = element("a");
  #told = element("p", { className: "dim" });
  #advance = new Advance();

  constructor(name) {
    [this.#id, this.#index = "0"] = name.split("/");
    this.#name.href = `#/jobs/${this.#id}`;
    this.legend.append(element("strong", {}, this.#name), this.#told, this.#advance.node);
  }

  get image() {
    return this.#job?.images.find(({ index }) => String(index) === this.#index) ?? null;
  }

  set gain(gain) {
    this.#gain = Number.isFinite(gain) ? gain : null;
    if (this.#job) this.#tell();
  }

  async refresh() {
    this.#show(await getJob(this.#id));
    return this.#job;
  }

  event(event) {
    if (event.job_id !== this.#id || !this.#job) return;
    if (event.type === "progress") this.#show({ ...this.#job, status: "running", progress: event });
    if (event.type === "preview" && String(event.index) === this.#index) this.#cells.preview(event);
    if (event.type === "done" && event.job) this.#show(event.job);
  }

  #show(job) {
    this.#job = job;
    const { guidance } = job.request;
    set(this.#name, "textContent", guidance ? `Guided by ${guidance.clip}` : "Unguided");
    this.#tell();
    this.#advance.show(job);
    // A picture is named by its place among all, and shown alone.
    this.#cells.show(this.image ? { ...job, images: [this.image] } : job);
  }

  #tell() {
    const { image } = this;
    const [clip, ...others] = image ? scores(image) : [];
    const sign = this.#gain < 0 ? "−" : "+";
    const gained = this.#gain === null ? clip : `${clip} (${sign}${Math.abs(this.#gain).toFixed(3)})`;
    set(this.#told, "textContent", image ? [`seed ${image.seed}`, ...(clip ? [gained] : []), ...others].join(" · ") : statusWords(this.#job));
  }
}
