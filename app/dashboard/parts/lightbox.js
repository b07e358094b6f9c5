// A picture as large as the window allows; its neighbours by arrow keys, and what to do with it by others.

import { copyButton } from "./copy.js";
import { element } from "./dom.js";
import { SMALL_PX, picture, scores } from "./pictures.js";
import { smoothButton } from "../pages/pixels.js";

const MARGIN_PX = 32;
const WORDS_PX = 130; // height of what stands around the picture

// Show the pictures of a job, this one first.
export function openLightbox(job, image) {
  openPictures(job.images.map((one) => ({ job, image: one })), job.images.indexOf(image));
}

// Show pictures of several jobs, each as `{ job, image }`, the one at this place first.
export function openPictures(pictures, place) {
  new Lightbox(pictures, place);
}

class Lightbox {
  #pictures;
  #place;
  #stage = element("div", { className: "lightbox-stage" });
  #words = element("p", { className: "dim", role: "status" });
  #alone = element("a", { target: "_blank", rel: "noopener", textContent: "Open alone" });
  #file = element("a", { textContent: "Download", title: "d" });
  #page = element("a", { textContent: "Its job", title: "o" });
  #smooth = smoothButton();
  #seed = copyButton(() => String(this.#now.image.seed), "Copy the seed");
  #compare = element("a", { textContent: "Compare with the next", title: "c" });
  #dialog = element("dialog", { className: "lightbox", ariaLabel: "Picture" });

  constructor(pictures, place) {
    this.#pictures = pictures;
    this.#place = place;
    this.#seed.title = "s";
    const button = (words, act) => {
      const made = element("button", { type: "button", textContent: words });
      made.addEventListener("click", act);
      return made;
    };
    const close = button("Close", () => this.#dialog.close());
    const ways = pictures.length > 1 ? [button("Previous", () => this.#go(-1)), button("Next", () => this.#go(1))] : [];
    const links = [this.#file, ...(pictures.length > 1 ? [this.#compare] : []), this.#page, this.#alone];
    this.#dialog.append(this.#stage, this.#words, element("div", { className: "buttons" }, ...ways, this.#seed, ...links, this.#smooth, close));
    this.#dialog.addEventListener("keydown", (event) => this.#pressed(event, ways.length > 0));
    for (const link of [this.#page, this.#compare]) link.addEventListener("click", () => this.#dialog.close());
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

  get #now() {
    return this.#pictures[this.#place];
  }

  #pressed(event, isOneOfMany) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowLeft: -1, k: -1, ArrowRight: 1, j: 1 }[event.key];
    if (by && isOneOfMany) this.#go(by);
    const link = { d: this.#file, s: this.#seed, o: this.#page, p: this.#smooth, ...(isOneOfMany && { c: this.#compare }) }[event.key];
    if (!link || link.hidden) return;
    event.stopPropagation(); // the dialog may be closed when the page hears of the key
    link.click();
  }

  #go(by) {
    const { length } = this.#pictures;
    this.#place = (this.#place + by + length) % length;
    this.#show();
  }

  #show() {
    const { job, image } = this.#now;
    this.#stage.replaceChildren(picture(job, image, "eager"));
    const number = this.#pictures.length > 1 ? [`${this.#place + 1} of ${this.#pictures.length}`] : [];
    this.#file.href = `${image.url}.png`;
    this.#file.download = `${job.id}-${image.index}.png`;
    this.#page.href = `#/jobs/${job.id}`;
    const next = this.#pictures[(this.#place + 1) % this.#pictures.length];
    // A candidate that was not kept is none of its job's pictures.
    this.#compare.hidden = [this.#now, next].some((one) => !one.job.images.some(({ index }) => index === one.image.index));
    this.#compare.href = `#/compare/${[this.#now, next].map((one) => encodeURIComponent(`${one.job.id}/${one.image.index}`)).join("/")}`;
    this.#words.textContent = [...number, `seed ${image.seed}`, `${image.width} × ${image.height}`, ...scores(image)].join(" · ");
    this.#alone.href = image.url;
    this.#smooth.hidden = image.width > SMALL_PX;
    this.#fit();
  }

  #fit() {
    const { width, height } = this.#now.image;
    const room = Math.min((innerWidth - MARGIN_PX) / width, (innerHeight - WORDS_PX) / height);
    const factor = width <= SMALL_PX ? Math.max(1, Math.floor(room)) : Math.min(1, room);
    this.#stage.firstChild.width = Math.round(width * factor);
    this.#stage.firstChild.height = Math.round(height * factor);
  }
}
