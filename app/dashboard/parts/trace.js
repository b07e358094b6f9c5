// The trace of guidance, step by step: the loss, and the size of the gradient on demand. Pictures of one job have one scale.

import { element, set } from "./dom.js";

const WIDTH = 460;
const HEIGHT = 150;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 10, 22, 34];
const KINDS = {
  loss: { title: "Loss: CLIP's distance from the prompt (lower is nearer)", value: ({ loss }) => loss },
  gradient: { title: "Size of the gradient (root mean square)", value: ({ gradient_rms: size }) => size },
};

// The plots of one picture. `all` are the traces of every picture of the job; `steps` is how many its sampler takes.
export function tracePlot(trace, all, steps) {
  const skipped = trace.filter((step) => step.skipped).length;
  const words = `Guidance over ${trace.length} steps${skipped ? `, ${skipped} of them skipped` : ""}`;
  const more = element("details", { className: "more-trace" }, element("summary", { textContent: "Gradient" }), new Plot("gradient", trace, all, steps).node);
  const table = element("a", { href: csvOf(trace), download: "trace.csv", textContent: "CSV", ariaLabel: "Download the trace as CSV" });
  return element("figure", { className: "trace" }, element("figcaption", {}, words, " · ", table), new Plot("loss", trace, all, steps).node, more);
}

class Plot {
  node;
  #trace;
  #steps;
  #kind;
  #name;
  #svg;
  #mark = svg("g", { class: "mark", hidden: "" });
  #said = element("output", { className: "read-out" });
  #scale;
  #at = null; // place in the trace that is read out

  constructor(name, trace, all, steps) {
    [this.#name, this.#kind, this.#trace, this.#steps] = [name, KINDS[name], trace, Math.max(steps ?? 0, ...trace.map(({ step }) => step + 1))];
    const known = all.flat().map(this.#kind.value).filter(Number.isFinite);
    this.#scale = { low: Math.min(...known), high: Math.max(...known) };
    this.#svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "curve", tabindex: 0 });
    this.#svg.setAttribute("aria-label", this.#words());
    this.#draw();
    this.#svg.addEventListener("pointermove", (event) => this.#pointed(event));
    this.#svg.addEventListener("pointerleave", () => this.#read(null));
    this.#svg.addEventListener("keydown", (event) => this.#pressed(event));
    this.#svg.addEventListener("blur", () => this.#read(null));
    this.#svg.addEventListener("focus", () => this.#svg.matches(":focus-visible") && this.#read(0));
    this.node = element("div", { className: "plot" }, element("p", { className: "dim", textContent: this.#kind.title }), this.#svg, this.#said);
    this.#tell();
  }

  #words() {
    const known = this.#trace.map(this.#kind.value).filter(Number.isFinite);
    const said = known.length ? `from ${short(known[0])} to ${short(known.at(-1))}, lowest ${short(Math.min(...known))}, highest ${short(Math.max(...known))}` : "not finite";
    return `${this.#name}: ${said}. Arrow keys read it step by step.`;
  }

  #x(step) {
    return LEFT + (step / Math.max(1, this.#steps - 1)) * (WIDTH - LEFT - RIGHT);
  }

  #y(value) {
    const { low, high } = this.#scale;
    return HEIGHT - BOTTOM - (high > low ? (value - low) / (high - low) : 0.5) * (HEIGHT - BOTTOM - TOP);
  }

  #draw() {
    const bottom = HEIGHT - BOTTOM;
    const steps = this.#trace.map(({ step }) => step);
    const [first, last] = [Math.min(...steps), Math.max(...steps)];
    this.#svg.append(svg("rect", { class: "window", x: this.#x(first) - 2, y: TOP - 8, width: this.#x(last) - this.#x(first) + 4, height: bottom - TOP + 8 }));
    const { low, high } = this.#scale;
    for (const value of ticks(low, high)) {
      this.#svg.append(svg("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: this.#y(value), y2: this.#y(value) }), label(LEFT - 6, this.#y(value) + 4, short(value), "end"));
    }
    this.#svg.append(svg("line", { class: "axis", x1: LEFT, y1: bottom, x2: WIDTH - RIGHT, y2: bottom }));
    for (const step of new Set([0, Math.round((this.#steps - 1) / 2), this.#steps - 1])) {
      this.#svg.append(svg("line", { class: "axis", x1: this.#x(step), x2: this.#x(step), y1: bottom, y2: bottom + 4 }), label(this.#x(step), bottom + 17, String(step + 1), "middle"));
    }
    this.#svg.append(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "step", "middle"));
    for (const points of runs(this.#points())) {
      this.#svg.append(svg("polyline", { points: points.map((point) => point.map((part) => part.toFixed(1)).join(",")).join(" ") }));
      if (points.length === 1) this.#svg.append(svg("circle", { cx: points[0][0], cy: points[0][1], r: 2 }));
    }
    this.#mark.append(svg("line", { y1: TOP - 8, y2: bottom }), svg("circle", { r: 4 }));
    this.#svg.append(this.#mark);
  }

  #points() {
    return this.#trace.map((step) => {
      const value = this.#kind.value(step);
      return Number.isFinite(value) ? [this.#x(step.step), this.#y(value)] : null;
    });
  }

  #pointed(event) {
    const box = this.#svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const distance = ({ step }) => Math.abs(this.#x(step) - x);
    this.#read(this.#trace.reduce((nearest, step, place) => (distance(step) < distance(this.#trace[nearest]) ? place : nearest), 0));
  }

  #pressed(event) {
    const last = this.#trace.length - 1;
    const at = this.#at ?? 0;
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.#read(Math.min(last, Math.max(0, next)));
  }

  // Read out one step; none for null.
  #read(place) {
    this.#at = place;
    const point = place === null ? null : this.#points()[place];
    this.#mark.toggleAttribute("hidden", point === null);
    if (point) {
      const [line, dot] = this.#mark.children;
      for (const side of ["x1", "x2"]) line.setAttribute(side, point[0]);
      dot.setAttribute("cx", point[0]);
      dot.setAttribute("cy", point[1]);
    }
    this.#tell();
  }

  #tell() {
    if (this.#at === null) {
      const [first, last] = [this.#trace[0], this.#trace.at(-1)];
      return set(this.#said, "textContent", `guided from step ${first.step + 1} to ${last.step + 1} of ${this.#steps}`);
    }
    const step = this.#trace[this.#at];
    const value = this.#kind.value(step);
    return set(this.#said, "textContent", `step ${step.step + 1}: ${Number.isFinite(value) ? short(value) : step.skipped ? "skipped" : "not finite"}`);
  }
}

// Some round values between two.
export function ticks(low, high) {
  if (!(high > low)) return Number.isFinite(low) ? [low] : [];
  const rough = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough);
  const found = [];
  for (let value = Math.ceil(low / size) * size; value <= high; value += size) found.push(Number(value.toPrecision(12)));
  return found;
}

// The stretches between steps that have no value.
function runs(points) {
  const found = [[]];
  for (const point of points) {
    if (point) found.at(-1).push(point);
    else if (found.at(-1).length) found.push([]);
  }
  return found.filter((run) => run.length);
}

function csvOf(trace) {
  const rows = trace.map(({ step, loss, losses, gradient_rms: size, skipped }) => [step + 1, loss ?? "", ...losses.map((part) => part ?? ""), size ?? "", skipped].join(","));
  const names = ["step", "loss", ...trace[0].losses.map((_, place) => `objective_${place + 1}`), "gradient_rms", "skipped"];
  return `data:text/csv,${encodeURIComponent([names.join(","), ...rows].join("\n"))}`;
}

// A text at a place of a drawing.
export function label(x, y, text, anchor) {
  const made = svg("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}

export const short = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "");

// An element of a drawing.
export function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
