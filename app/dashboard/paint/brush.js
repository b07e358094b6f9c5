// The brush over a picture: led by mouse, pen or finger, or by the arrow keys; its outline shows where it is.

import { element } from "../parts/dom.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Brush {
  node;
  erases = false;
  #layer;
  #size;
  #at; // in pixels of the picture
  #outline = element("span", { className: "outline", ariaHidden: "true" });
  #pointer = null; // the one that paints
  #onPaint;

  // `onPaint` is called after every stroke.
  constructor(layer, picture, size, onPaint) {
    const { canvas } = layer;
    this.#layer = layer;
    this.#size = size;
    this.#onPaint = onPaint;
    this.#at = { x: canvas.width / 2, y: canvas.height / 2 };
    canvas.tabIndex = 0;
    canvas.role = "application";
    canvas.ariaLabel = "The picture, to paint on";
    this.node = element("div", { className: "canvas" }, picture, canvas, this.#outline);
    this.node.style.setProperty("--ratio", canvas.width / canvas.height);
    this.#watch(canvas);
    this.#place();
  }

  set size(value) {
    this.#size = value;
    this.#place();
  }

  #watch(canvas) {
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#release(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #press(event) {
    if (event.button !== 0 || this.#pointer !== null) return;
    this.#pointer = event.pointerId;
    this.#layer.canvas.setPointerCapture(event.pointerId);
    this.#place(this.#point(event));
    this.#layer.begin(this.#at, { size: this.#size, erases: this.erases });
    this.#led = this.#at;
  }

  #move(event) {
    if (this.#pointer !== null && event.pointerId !== this.#pointer) return;
    this.#place(this.#point(event));
    if (this.#pointer === null) return;
    // A frame has many moves of a quick hand; one of them would make a polygon.
    for (const one of event.getCoalescedEvents?.() ?? [event]) this.#lead(this.#point(one));
  }

  // Lead the stroke on, unless that is so near that it changes little and costs as much.
  #lead(point) {
    if (Math.hypot(point.x - this.#led.x, point.y - this.#led.y) < this.#size / 8) return;
    this.#layer.extend(point);
    this.#led = point;
  }

  #led = null; // where the stroke has come to

  #release(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#layer.extend(this.#at);
    this.#onPaint();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ARROWS[event.key];
    if (!way && event.key !== " ") return;
    event.preventDefault();
    const before = this.#at;
    if (way) this.#place(this.#moved(way));
    if (way && !event.shiftKey) return;
    this.#layer.begin(before, { size: this.#size, erases: this.erases });
    if (way) this.#layer.extend(this.#at);
    this.#onPaint();
  }

  // A quarter of the brush further, and not out of the picture.
  #moved([right, down]) {
    const { width, height } = this.#layer.canvas;
    const step = Math.max(1, this.#size / 4);
    return { x: clamp(this.#at.x + right * step, width), y: clamp(this.#at.y + down * step, height) };
  }

  #point({ clientX, clientY }) {
    const { width, height } = this.#layer.canvas;
    const box = this.#layer.canvas.getBoundingClientRect();
    return { x: ((clientX - box.left) / box.width) * width, y: ((clientY - box.top) / box.height) * height };
  }

  #place(point = this.#at) {
    this.#at = point;
    const { width, height } = this.#layer.canvas;
    const { style } = this.#outline;
    style.left = `${(100 * point.x) / width}%`;
    style.top = `${(100 * point.y) / height}%`;
    style.width = `${(100 * this.#size) / width}%`;
  }
}

const clamp = (value, most) => Math.min(most, Math.max(0, value));
