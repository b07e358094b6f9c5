// What a job began with and what it made of it, under a slider; and its mask.

import { inputUrl } from "../server/inputs.js";
import { Curtain } from "./curtain.js";
import { element, set } from "./dom.js";
import { asSquares, picture } from "./pictures.js";

export class BeforeAfter {
  #before = element("div", { className: "frame" });
  #after = element("div", { className: "frame" });
  #curtain = new Curtain(this.#before, this.#after, "Share of the picture before that is shown");
  #choice = element("div", { className: "filters", role: "group", ariaLabel: "Picture that is compared" });
  #mask = element("figure", { className: "mask", hidden: true });
  node;

  constructor() {
    const sides = element("div", { className: "line dim ends" }, element("span", { textContent: "Before" }), this.#choice, element("span", { textContent: "After" }));
    this.node = element("section", { className: "card before-after", hidden: true }, element("h3", { textContent: "Before and after" }), this.#curtain.node, sides, this.#mask);
  }

  show(job) {
    const { edit, init, mask } = job.request;
    const start = init ?? edit;
    set(this.node, "hidden", !start || job.images.length === 0);
    if (this.node.hidden || this.#after.childElementCount) return;
    // Of a result of another shape, the server cut off, stretched or padded as `fit` says.
    this.#before.append(shown(job, start.image, init ? "The picture that the run started from" : "The picture that was edited", `fit-${start.fit}`));
    this.#choose(job, job.images[0]);
    if (job.images.length > 1) this.#choice.append(...job.images.map((image) => this.#button(job, image)));
    if (!mask?.image) return; // Outpainting has a mask without one.
    this.#mask.hidden = false;
    const words = mask.invert ? "The mask: black was drawn anew." : "The mask: white was drawn anew.";
    this.#mask.append(shown(job, mask.image, "The mask"), element("figcaption", { textContent: words }));
  }

  #button(job, image) {
    const button = element("button", { type: "button", textContent: String(image.index + 1), ariaLabel: `Picture ${image.index + 1}`, ariaPressed: String(image === job.images[0]) });
    button.addEventListener("click", () => {
      for (const one of this.#choice.children) one.ariaPressed = String(one === button);
      this.#choose(job, image);
    });
    return button;
  }

  #choose(job, image) {
    this.#curtain.shape(image);
    this.#after.replaceChildren(picture(job, image, "eager"));
  }
}

function shown(job, name, alt, className = "") {
  const made = element("img", { alt, decoding: "async", className, src: inputUrl(job.id, name) });
  made.addEventListener("load", () => asSquares(made, made.naturalWidth));
  return made;
}
