// The box for a job's pictures: as large before they are there as after, so that nothing jumps.

import "../pages/pixels.js"; // small pictures are smooth from the first on, if they are to be
import { previewUrl } from "../server/api.js";
import { element } from "./dom.js";
import { promptOf } from "./words.js";

const SHOWN = 4;
export const SMALL_PX = 128; // up to this width, pixels are shown as squares
const GLYPHS = { queued: "⋯", running: "✦", failed: "!", canceled: "×", succeeded: "✓" };

// In a row: the first pictures, as one link to the job's page.
export function pictureBox(request) {
  const link = element("a", { className: "frame", tabIndex: -1 });
  link.ariaHidden = "true"; // the prompt beside it is the same link, in words
  link.style.aspectRatio = `${request.width ?? 2} / ${request.height ?? 1}`;
  const cells = new Cells(link);
  return {
    box: element("div", { className: "pictures" }, link),
    show(job) {
      link.href = `#/jobs/${job.id}`;
      cells.show(job);
    },
    preview: (event) => cells.preview(event),
  };
}

// The pictures of a job inside of `frame`: a glyph, then previews, then the pictures themselves.
export class Cells {
  #frame;
  #shown = null;
  #previews = new Map();
  #looks = 0;
  #most;

  constructor(frame, most = SHOWN) {
    this.#frame = frame;
    this.#most = most;
  }

  show(job) {
    const most = this.#most;
    const key = job.images.length ? "images" : job.status;
    const before = this.#shown;
    if (key === before) {
      // A job that was read anew: the stream has just opened, and what came before it has no event.
      if (key === "running" && this.#previews.size === 0 && !job.progress.type) this.#lookForPreviews(job, most);
      return;
    }
    this.#shown = key;
    if (key === "images") this.#load(job, job.images.slice(0, most));
    else if (before !== "running" || this.#previews.size === 0) this.#glyph(key);
    if (key === "running") this.#lookForPreviews(job, most);
  }

  // A page that opens while a job runs has missed the events of its previews.
  // Each look has an address of its own: a browser asks once for two images of one address, and one may be too early.
  #lookForPreviews({ id, request, progress }, most) {
    if (!request.preview_every_steps || progress.step < request.preview_every_steps) return;
    this.#looks += 1;
    for (let index = 0; index < Math.min(most, request.num_images); index += 1) this.preview({ job_id: id, index, step: `look${this.#looks}` });
  }

  // Show a new preview once it has been loaded, so that nothing flickers.
  preview({ job_id: id, index, step }) {
    if (index >= this.#most || this.#shown === "images") return;
    const next = new Image();
    next.src = previewUrl(id, index, step);
    next.alt = "";
    next.className = "preview";
    next.decode().then(() => {
      if (this.#shown === "images") return;
      asSquares(next, next.naturalWidth);
      this.#previews.set(index, next);
      this.#fill([...this.#previews.keys()].sort((a, b) => a - b).map((number) => this.#previews.get(number)));
    }, () => {}); // the job has ended meanwhile, or the next preview will come
  }

  #load(job, images) {
    // A picture that is not on the page yet never loads when it is lazy.
    const pictures = images.map((image) => picture(job, image, this.#previews.size ? "eager" : "lazy"));
    const put = () => this.#fill(pictures);
    // A picture that still loads would be blank, so the previews stay until all pictures are decoded.
    if (this.#previews.size) Promise.allSettled(pictures.map((one) => one.decode())).then(put);
    else put();
  }

  #glyph(status) {
    this.#fill([element("span", { className: "glyph", ariaHidden: "true", textContent: GLYPHS[status] ?? "" })]);
  }

  #fill(nodes) {
    this.#frame.replaceChildren(...nodes);
    this.#frame.classList.toggle("several", nodes.length > 1);
    this.#frame.style.setProperty("--columns", String(Math.ceil(Math.sqrt(nodes.length))));
  }
}

// Few pixels made larger look better as squares than as a blur: all of one size, in whole multiples. See style.css.
export function asSquares(shown, width) {
  if (width > SMALL_PX) return shown;
  shown.classList.add("small");
  shown.style.setProperty("--px", `${width}px`);
  return shown;
}

export function picture(job, image, loading = "lazy") {
  const place = job.images.indexOf(image);
  const shown = element("img", {
    alt: `${place < 0 ? `Candidate ${image.index + 1}` : `Picture ${place + 1} of ${job.images.length}`}: ${promptOf(job)}`,
    width: image.width,
    height: image.height,
    loading: loading,
    decoding: "async",
    src: image.url,
  });
  return asSquares(shown, image.width);
}

// A button under a picture, that does something with it.
export function pictureButton(words, job, image, act) {
  const button = element("button", { type: "button", className: "use", textContent: words, ariaLabel: `${words}: picture ${image.index + 1} of ${promptOf(job)}` });
  button.addEventListener("click", () => act(job, image));
  return button;
}

// A button that makes a picture the start of the next run.
export const inputButton = (job, image, onUse) => pictureButton("Use as input", job, image, onUse);

export function scores(image) {
  const told = [];
  if (typeof image.clip_score === "number") told.push(`CLIP ${image.clip_score.toFixed(3)}`);
  if (typeof image.aesthetic_score === "number") told.push(`aesthetic ${image.aesthetic_score.toFixed(2)}`);
  return told;
}

// What the scores of a job's pictures mean; nothing if they have none.
export function scoresHelp({ images, request }) {
  const [image] = images;
  if (!image || scores(image).length === 0) return [];
  const scorer = request.select?.scorer ?? request.guidance?.clip;
  const flattery = request.guidance && !request.select ? ` ${scorer} guided these pictures, and overrates them.` : "";
  const words = [
    element("p", { textContent: `CLIP: how near the picture is to its prompt, from −1 to 1, as ${scorer ?? "the model's own CLIP"} sees it. It compares pictures of one prompt; those of two prompts it does not.${flattery}` }),
    ...(typeof image.aesthetic_score === "number" ? [element("p", { textContent: "Aesthetic: how people would rate the picture, as a predictor guesses it; higher is better, and most lie between 1 and 10." })] : []),
  ];
  return [element("details", { className: "card scores-help" }, element("summary", { textContent: "What the scores mean" }), ...words)];
}
