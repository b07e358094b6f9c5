// The trace of guidance, step by step: its loss, and under it the size of its gradient.

import { element } from "./dom.js";

const WIDTH = 440;
const HEIGHT = 120;
const LEFT = 64; // for the numbers
const EDGE = 10;

export function tracePlot(trace) {
  const skipped = trace.filter((step) => step.skipped).length;
  const words = `Guidance over ${trace.length} steps${skipped ? `, ${skipped} of them skipped` : ""}`;
  return element("figure", { className: "trace" },
    element("figcaption", { textContent: words }),
    curve("loss", trace.map(({ loss }) => loss)),
    curve("gradient", trace.map(({ gradient_rms: size }) => size)),
  );
}

function curve(name, values) {
  const known = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "curve" });
  const said = known.length ? `from ${short(known[0])} to ${short(known.at(-1))}, lowest ${short(low)}, highest ${short(high)}` : "not finite";
  plot.setAttribute("aria-label", `${name}: ${said}`);
  const x = (index) => LEFT + (index / Math.max(1, values.length - 1)) * (WIDTH - LEFT - EDGE);
  const y = (value) => HEIGHT - EDGE - (high > low ? (value - low) / (high - low) : 0.5) * (HEIGHT - 2 * EDGE - 14) ;
  plot.append(svg("line", { x1: LEFT, y1: HEIGHT - EDGE, x2: WIDTH - EDGE, y2: HEIGHT - EDGE, class: "axis" }));
  plot.append(label(0, 12, name), label(0, y(high) + 4, short(high)));
  if (high > low) plot.append(label(0, y(low) + 2, short(low)));
  for (const points of runs(values.map((value, index) => (Number.isFinite(value) ? [x(index), y(value)] : null)))) {
    plot.append(svg("polyline", { points: points.map((point) => point.map((part) => part.toFixed(1)).join(",")).join(" ") }));
    if (points.length === 1) plot.append(svg("circle", { cx: points[0][0], cy: points[0][1], r: 2 }));
  }
  return plot;
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

function label(x, y, text) {
  const made = svg("text", { x, y });
  made.textContent = text;
  return made;
}

const short = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "");

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
