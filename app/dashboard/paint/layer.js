// The painted part of a picture: one flag a pixel, the strokes that led there, and a canvas that shows it.

import { element } from "../parts/dom.js";

// Colours as canvases hold them: alpha, blue, green, red.
const [TINT, CLEAR, WHITE, BLACK] = [0xff9800e1, 0, 0xffffffff, 0xff000000];
const MOST_SIDE_PX = 2048; // of a mask; the server stretches it to its picture
const REPAINTED = 128; // the lowest level of a mask that is painted anew, as the server reads it

export class MaskLayer {
  canvas;
  #context;
  #base; // what undo leads back to
  #flags;
  #steps = []; // a stroke, or the name of what was done to the whole

  constructor(width, height) {
    this.canvas = element("canvas", { width, height });
    this.#context = this.canvas.getContext("2d");
    this.#base = new Uint8Array(width * height);
    this.#flags = this.#base.slice();
  }

  get isUntouched() {
    return this.#steps.length === 0;
  }

  // The painted share of the picture.
  get share() {
    return this.#flags.reduce((sum, flag) => sum + flag, 0) / this.#flags.length;
  }

  // Begin from a mask: white is painted, or what is opaque if anything is transparent.
  load(picture) {
    const { width, height } = this.canvas;
    this.#context.clearRect(0, 0, width, height);
    this.#context.drawImage(picture, 0, 0, width, height);
    const { data } = this.#context.getImageData(0, 0, width, height);
    const channel = data.some((level, index) => index % 4 === 3 && level < 255) ? 3 : 0;
    this.#base = Uint8Array.from({ length: width * height }, (_, pixel) => Number(data[4 * pixel + channel] >= REPAINTED));
    this.#steps = [];
    this.#redo();
  }

  // Begin a stroke at a point; in pixels of the picture, as is the brush's diameter.
  begin(point, { size, erases }) {
    this.#steps.push({ points: [point], size, flag: erases ? 0 : 1 });
    this.#sweep(this.#steps.at(-1), 0);
  }

  // Lead the last stroke on to a point.
  extend(point) {
    const stroke = this.#steps.at(-1);
    stroke.points.push(point);
    this.#sweep(stroke, stroke.points.length - 1);
  }

  invert() {
    this.#do("invert");
  }

  clear() {
    this.#do("clear");
  }

  undo() {
    this.#steps.pop();
    this.#redo();
  }

  // A PNG file of the same size, white where it is painted and black elsewhere.
  toBlob() {
    const { width, height } = this.canvas;
    const copy = element("canvas", { width, height });
    copy.getContext("2d").putImageData(this.#image(0, 0, width, height, WHITE, BLACK), 0, 0);
    return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
  }

  #do(name) {
    this.#steps.push(name);
    this.#whole(name);
    this.#show(0, 0, this.canvas.width, this.canvas.height);
  }

  #whole(name) {
    if (name === "clear") this.#flags.fill(0);
    else this.#flags.forEach((flag, pixel) => (this.#flags[pixel] = 1 - flag));
  }

  // Strokes are few numbers and their pixels many, so undo paints all but the last again.
  #redo() {
    this.#flags = this.#base.slice();
    for (const step of this.#steps) {
      if (typeof step === "string") this.#whole(step);
      else step.points.forEach((_, index) => this.#mark(step, index));
    }
    this.#show(0, 0, this.canvas.width, this.canvas.height);
  }

  #sweep(stroke, index) {
    const { left, top, right, bottom } = this.#mark(stroke, index);
    if (right > left && bottom > top) this.#show(left, top, right - left, bottom - top);
  }

  // Set the pixels whose centres lie under the brush on its way to a point of a stroke; the box around the way.
  #mark({ points, size, flag }, index) {
    const { width, height } = this.canvas;
    const [from, to] = [points[Math.max(0, index - 1)], points[index]];
    const radius = Math.max(size / 2, Math.SQRT1_2); // a smaller one could miss every centre
    const [left, right] = bounds(from.x, to.x, radius, width);
    const [top, bottom] = bounds(from.y, to.y, radius, height);
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) {
        if (distance(x + 0.5, y + 0.5, from, to) <= radius) this.#flags[y * width + x] = flag;
      }
    }
    return { left, top, right, bottom };
  }

  #show(left, top, width, height) {
    this.#context.putImageData(this.#image(left, top, width, height, TINT, CLEAR), left, top);
  }

  // A part of the layer in two colours.
  #image(left, top, width, height, painted, other) {
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let y = 0; y < height; y += 1) {
      const from = (top + y) * this.canvas.width + left;
      for (let x = 0; x < width; x += 1) pixels[y * width + x] = this.#flags[from + x] ? painted : other;
    }
    return image;
  }
}

const bounds = (one, other, radius, most) => [
  Math.max(0, Math.floor(Math.min(one, other) - radius)),
  Math.min(most, Math.ceil(Math.max(one, other) + radius)),
];

// From a point to the line between two others.
function distance(x, y, from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const along = ((x - from.x) * dx + (y - from.y) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(1, Math.max(0, along));
  return Math.sqrt((x - from.x - share * dx) ** 2 + (y - from.y - share * dy) ** 2);
}

// A layer as large as a picture, or smaller if that has more pixels than a mask needs.
export function layerFor({ naturalWidth: width, naturalHeight: height }) {
  const scale = Math.min(1, MOST_SIDE_PX / Math.max(width, height));
  return new MaskLayer(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
}

// A picture of this server, once it is there.
export async function loaded(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}
