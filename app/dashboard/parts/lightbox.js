// A picture as large as the window allows; its neighbours by arrow keys.

import { element } from "./dom.js";
import { picture, scores } from "./pictures.js";

const MARGIN_PX = 32;
const WORDS_PX = 130; // height of what stands around the picture
const SMALL_PX = 128; // up to this width, pixels are shown as squares: all of one size, in whole multiples

// Show the pictures of a job, this one first.
export function openLightbox(job, image) {
  new Lightbox(job, job.images.indexOf(image));
}

class Lightbox {
  #job;
  #place;
  #stage = element("div", { className: "lightbox-stage" });
  #words = element("p", { className: "dim", role: "status" });
  #alone = element("a", { target: "_blank", rel: "noopener", textContent: "Open alone" });
  #dialog = element("dialog", { className: "lightbox", ariaLabel: "Picture" });

  constructor(job, place) {
    this.#job = job;
    this.#place = place;
    const button = (words, act) => {
      const made = element("button", { type: "button", textContent: words });
      made.addEventListener("click", act);
      return made;
    };
    const close = button("Close", () => this.#dialog.close());
    const ways = job.images.length > 1 ? [button("Previous", () => this.#go(-1)), button("Next", () => this.#go(1))] : [];
    this.#dialog.append(this.#stage, this.#words, element("div", { className: "buttons" }, ...ways, this.#alone, close));
    this.#dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by && ways.length) this.#go(by);
    });
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    const fit = () => this.#fit();
    addEventListener("resize", fit);
    this.#dialog.addEventListener("close", () => {
      removeEventListener("resize", fit);
      this.#dialog.remove();
    });
    document.body.append(this.#dialog);
    this.#show();
    this.#dialog.showModal();
    close.focus();
  }

  #go(by) {
    const { length } = this.#job.images;
    this.#place = (this.#place + by + length) % length;
    this.#show();
  }

  #show() {
    const image = this.#job.images[this.#place];
    this.#stage.replaceChildren(picture(this.#job, image, "eager"));
    const number = this.#job.images.length > 1 ? [`${this.#place + 1} of ${this.#job.images.length}`] : [];
    this.#words.textContent = [...number, `seed ${image.seed}`, `${image.width} × ${image.height}`, ...scores(image)].join(" · ");
    this.#alone.href = image.url;
    this.#fit();
  }

  #fit() {
    const { width, height } = this.#job.images[this.#place];
    const room = Math.min((innerWidth - MARGIN_PX) / width, (innerHeight - WORDS_PX) / height);
    const factor = width <= SMALL_PX ? Math.max(1, Math.floor(room)) : Math.min(1, room);
    this.#stage.firstChild.width = Math.round(width * factor);
    this.#stage.firstChild.height = Math.round(height * factor);
  }
}
