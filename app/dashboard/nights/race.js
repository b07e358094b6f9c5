// The race of a night: the score of each picture over time, those that are kept, and the score that it took to be kept.

import { element, set } from "../parts/dom.js";
import { label, short, svg, ticks } from "../parts/trace.js";
import { count, duration } from "../parts/words.js";

const LEAST_WIDTH = 260;
const HEIGHT = 240;
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 22, 14, 40];

export class Race {
  #svg = svg("svg", { role: "img", class: "curve", tabindex: 0 });
  #mark = svg("g", { class: "mark", hidden: "" });
  #said = element("output", { className: "read-out" });
  #words = element("span");
  #csv = element("a", { download: "race.csv", textContent: "CSV", ariaLabel: "Download the race as CSV" });
  #width = 640; // in the units of the drawing, which are pixels
  #night = null;
  #kept = new Map(); // pictures that are kept, by number
  #scale = null;
  #at = null; // place in the race that is read out

  constructor() {
    const legend = element("div", { className: "legend dim" }, ...[["kept", "kept now"], ["made", "made"], ["threshold", "needed to be kept"]].map(([className, textContent]) => element("span", { className, textContent })));
    this.node = element("figure", { className: "card race", hidden: true }, element("h3", { textContent: "The race" }), this.#svg, this.#said, legend, element("p", { className: "dim" }, this.#words, " · ", this.#csv));
    // Text keeps its size on every screen.
    new ResizeObserver(() => this.#fit()).observe(this.#svg);
    this.#svg.addEventListener("pointermove", (event) => this.#pointed(event));
    this.#svg.addEventListener("pointerleave", () => this.#read(null));
    this.#svg.addEventListener("keydown", (event) => this.#pressed(event));
    this.#svg.addEventListener("blur", () => this.#read(null));
    this.#svg.addEventListener("focus", () => this.#svg.matches(":focus-visible") && this.#read(this.#points.length - 1));
  }

  get #points() {
    return this.#night.race;
  }

  show(night) {
    const before = this.#night;
    this.#night = night;
    set(this.node, "hidden", night.race.length === 0);
    if (night.race.length === 0 || (before && before.made === night.made && before.num_kept === night.num_kept)) return;
    this.#kept = new Map(night.kept.map((picture) => [picture.number, picture]));
    const scores = [...night.race, ...night.kept].map(({ score }) => score);
    this.#scale = { low: Math.min(...scores), high: Math.max(...scores), end: Math.max(1, night.race.at(-1).at_s) };
    this.#draw();
    const part = night.race_every > 1 ? ` Shown is one of ${night.race_every}.` : "";
    set(this.#words, "textContent", `${count(night.made, "picture")}, scores from ${short(this.#scale.low)} to ${short(this.#scale.high)}.${part}`);
    this.#svg.setAttribute("aria-label", `Scores over time: ${this.#words.textContent} Arrow keys read it picture by picture.`);
    const rows = night.race.map(({ number, at_s: at, score, threshold }) => [number, at, score, threshold ?? "", this.#kept.has(number) ? 1 : 0].join(","));
    this.#csv.href = `data:text/csv,${encodeURIComponent(["number,at_s,score,threshold,kept", ...rows].join("\n"))}`;
    this.#read(this.#at === null ? null : Math.min(this.#at, night.race.length - 1));
  }

  #x(at) {
    return LEFT + (at / this.#scale.end) * (this.#width - LEFT - RIGHT);
  }

  #y(score) {
    const { low, high } = this.#scale;
    return HEIGHT - BOTTOM - (high > low ? (score - low) / (high - low) : 0.5) * (HEIGHT - BOTTOM - TOP);
  }

  #fit() {
    const width = Math.max(LEAST_WIDTH, Math.round(this.#svg.clientWidth));
    if (!this.#scale || width === this.#width) return;
    this.#width = width;
    this.#draw();
    this.#read(this.#at);
  }

  #draw() {
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    const { low, high, end } = this.#scale;
    const bottom = HEIGHT - BOTTOM;
    const drawn = [svg("line", { class: "axis", x1: LEFT, y1: bottom + 6, x2: this.#width - RIGHT, y2: bottom + 6 })];
    for (const value of ticks(low, high)) {
      drawn.push(svg("line", { class: "rule", x1: LEFT, x2: this.#width - RIGHT, y1: this.#y(value), y2: this.#y(value) }), label(LEFT - 6, this.#y(value) + 4, short(value), "end"));
    }
    for (const at of new Set([0, end / 2, end])) {
      drawn.push(svg("line", { class: "axis", x1: this.#x(at), x2: this.#x(at), y1: bottom + 6, y2: bottom + 10 }), label(this.#x(at), bottom + 23, at ? duration(Math.round(at)) : "0", at === end ? "end" : "middle"));
    }
    drawn.push(label((LEFT + this.#width - RIGHT) / 2, HEIGHT - 2, "time since it began", "middle"));
    const [kept, others] = [this.#points.filter(({ number }) => this.#kept.has(number)), this.#points.filter(({ number }) => !this.#kept.has(number))];
    const dots = (points, name, r) => points.map(({ at_s: at, score }) => svg("circle", { class: name, cx: this.#x(at).toFixed(1), cy: this.#y(score).toFixed(1), r }));
    drawn.push(...dots(others, "made", 2.2), this.#steps(), ...dots(kept, "kept", 4.5));
    // Of a long night not each picture is in the race; beside it are all that are kept.
    for (const { score } of this.#kept.values()) drawn.push(svg("line", { class: "rug", x1: this.#width - RIGHT + 5, x2: this.#width - RIGHT + 14, y1: this.#y(score), y2: this.#y(score) }));
    this.#mark.replaceChildren(svg("line", { y1: TOP - 8, y2: bottom + 6 }), svg("circle", { r: 5.5 }));
    this.#svg.replaceChildren(...drawn, this.#mark);
  }

  // The threshold holds from a picture to the next.
  #steps() {
    const points = [];
    for (const { at_s: at, threshold } of this.#points) {
      if (threshold === null) continue;
      if (points.length) points.push([this.#x(at), points.at(-1)[1]]);
      points.push([this.#x(at), this.#y(threshold)]);
    }
    return svg("polyline", { points: points.map((point) => point.map((part) => part.toFixed(1)).join(",")).join(" ") });
  }

  #pointed(event) {
    const box = this.#svg.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * this.#width, ((event.clientY - box.top) / box.height) * HEIGHT];
    const distance = ({ at_s: at, score }) => Math.hypot(this.#x(at) - x, (this.#y(score) - y) / 2);
    let nearest = 0;
    this.#points.forEach((point, place) => {
      if (distance(point) < distance(this.#points[nearest])) nearest = place;
    });
    this.#read(nearest);
  }

  #pressed(event) {
    const last = this.#points.length - 1;
    const at = this.#at ?? last;
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.#read(Math.min(last, Math.max(0, next)));
  }

  // Read out one picture; none for null.
  #read(place) {
    this.#at = place;
    this.#mark.toggleAttribute("hidden", place === null);
    if (place !== null) {
      const { at_s: at, score } = this.#points[place];
      const [line, dot] = this.#mark.children;
      for (const side of ["x1", "x2"]) line.setAttribute(side, this.#x(at));
      dot.setAttribute("cx", this.#x(at));
      dot.setAttribute("cy", this.#y(score));
    }
    set(this.#said, "textContent", place === null ? this.#now() : this.#told(this.#points[place]));
  }

  #now() {
    const { threshold } = this.#night;
    return threshold === null ? "The next picture is kept whatever it scores." : `To be kept, a picture must now exceed ${short(threshold)}.`;
  }

  #told({ number, at_s: at, score, threshold }) {
    const state = this.#kept.has(number) ? ", kept" : "";
    const needed = threshold === null ? "" : ` Needed then: ${short(threshold)}.`;
    return `Picture ${number + 1}, after ${duration(at)}: ${short(score)}${state}.${needed}`;
  }
}
