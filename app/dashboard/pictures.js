// The box for a job's pictures: as large before they are there as after, so that nothing jumps.

import { element } from "./dom.js";

const SHOWN = 4;
const GLYPHS = { queued: "⋯", running: "✦", failed: "!", canceled: "×" };

export function pictureBox(request) {
  const box = element("div", { className: "pictures" });
  const frame = element("div", { className: "frame" });
  frame.style.aspectRatio = request.kind ? "1" : `${request.width} / ${request.height}`;
  box.append(frame);
  let shown = null;
  return {
    box,
    show(job) {
      const key = job.images.length ? "images" : job.status;
      if (key === shown) return;
      shown = key;
      if (key === "images") frame.replaceChildren(...job.images.slice(0, SHOWN).map((image) => link(job, image)));
      else frame.replaceChildren(element("span", { className: "glyph", ariaHidden: "true", textContent: GLYPHS[key] ?? "" }));
      frame.classList.toggle("several", job.images.length > 1);
    },
  };
}

function link(job, image) {
  const picture = element("img", {
    src: image.url,
    alt: `Picture ${job.images.indexOf(image) + 1} of ${job.images.length}: ${job.request.prompt}`,
    width: image.width,
    height: image.height,
    loading: "lazy",
    decoding: "async",
    // Few pixels made larger look better as squares than as a blur.
    className: image.width <= 128 ? "small" : "",
  });
  const score = image.clip_score === null ? "" : `, CLIP score ${image.clip_score.toFixed(3)}`;
  return element("a", { href: image.url, target: "_blank", rel: "noopener", title: `Seed ${image.seed}${score}` }, picture);
}
