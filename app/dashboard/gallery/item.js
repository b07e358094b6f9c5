// One picture of the gallery: to open, to choose, to like, to go on from, to find others like it.

import { element } from "../parts/dom.js";
import { inputButton, picture, scores } from "../parts/pictures.js";
import { promptOf } from "../parts/words.js";
import { favourites } from "./favourites.js";

export class Item {
  node;
  key;
  #box = element("input", { type: "checkbox" });

  // `onUse` takes the picture to start from; `onLike` is called when it is liked, or no more.
  constructor(job, image, { onUse, onLike, onEnlarge }) {
    this.job = job;
    this.image = image;
    this.key = `${job.id}/${image.index}`;
    const prompt = promptOf(job);
    this.#box.ariaLabel = `Select picture ${image.index + 1} of ${prompt}`;
    this.#box.dataset.key = this.key;
    const like = element("button", { type: "button", className: "like", textContent: "★", ariaLabel: `Favourite: picture ${image.index + 1} of ${prompt}`, ariaPressed: String(favourites.has(this.key)) });
    like.addEventListener("click", () => {
      like.ariaPressed = String(favourites.toggle(this.key));
      onLike();
    });
    const shown = picture(job, image);
    shown.alt = "";
    const similarity = image.similarity === undefined ? [] : [`similarity ${image.similarity.toFixed(3)}`];
    const told = [...similarity, ...scores(image), `seed ${image.seed}`].join(" · ");
    const link = element("a", { href: `#/jobs/${job.id}` }, shown, element("span", { className: "caption", textContent: prompt }), element("span", { className: "dim", textContent: told }));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own is asked for
      event.preventDefault();
      onEnlarge(this);
    });
    const alike = element("a", { className: "use button", href: `#/gallery/like/${encodeURIComponent(this.key)}`, textContent: "More like this", ariaLabel: `More like this: picture ${image.index + 1} of ${prompt}` });
    const top = element("div", { className: "item-top" }, element("label", {}, this.#box), like);
    this.node = element("li", {}, link, top, element("div", { className: "item-ways" }, inputButton(job, image, onUse), alike));
    this.node.addEventListener("keydown", (event) => this.#pressed(event));
  }

  get isChosen() {
    return this.#box.checked;
  }

  set isChosen(value) {
    this.#box.checked = value;
    this.node.classList.toggle("chosen", value);
  }

  // x selects, from wherever the focus is in it.
  #pressed(event) {
    if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#box.click();
  }
}
