// The finished pictures: newest first, by score, of one label, those that are liked, or what a search finds.

import { Refused, getJob, listJobs, reasonOf, searchByPicture, searchByText } from "../server/api.js";
import { LabelFilter } from "../many/label_filter.js";
import { enter } from "../many/moving.js";
import { arrange, element, once, set } from "../parts/dom.js";
import { favourites } from "./favourites.js";
import { GalleryFilter } from "./filter.js";
import { openPictures } from "../parts/lightbox.js";
import { Item } from "./item.js";
import { smoothButton } from "../pages/pixels.js";
import { SearchBar } from "./search_bar.js";
import { Selection } from "./selection.js";

const PAGE = 60;
const ORDERS = { newest: "Newest first", clip_score: "Highest CLIP first", aesthetic_score: "Highest aesthetic first" };
let order = "newest"; // stays while the page is open

export class Gallery {
  title = "Gallery";
  #kind;
  #what;
  #onUse;
  #items = new Map(); // by their keys
  #newest = []; // jobs of the first page
  #older = [];
  #cursor = undefined;
  #found = null; // jobs of one picture each, nearest first, of a search
  #liked = []; // jobs of favourites that are not loaded otherwise
  #likedOnly = false;
  #labels = new LabelFilter((label) => (location.hash = label ? `#/gallery/label/${encodeURIComponent(label)}` : "#/gallery"));
  #filter = new GalleryFilter(() => this.#draw());
  #likes = element("button", { type: "button", ariaPressed: "false", textContent: "★ Favourites" });
  #told = element("p", { className: "dim", role: "status" });
  #said = element("p", { className: "field-error", role: "alert" });
  #grid = element("ul", { className: "gallery" });
  #empty = element("p", { className: "empty", hidden: true }, element("strong", { textContent: "No pictures here" }), "Finished pictures appear here.");
  #more = element("button", { type: "button", className: "quiet", textContent: "Show more", hidden: true });
  #selection = new Selection((ids) => this.#forget(ids));

  // `onUse` takes a picture to start the next run from. `kind` is "search", "like" or "label", or none; `what` of it.
  constructor(onUse, kind, what) {
    [this.#onUse, this.#kind, this.#what] = [onUse, kind, what];
    const bar = new SearchBar(kind === "search" ? what : "", (file) => this.#look(searchByPicture({ picture: file }), `pictures like ${file.name || "yours"}`));
    const tools = element("div", { className: "gallery-tools" }, bar.node, this.#likes, smoothButton(), this.#sorting(), this.#filter.node);
    this.#filter.node.hidden = ["search", "like"].includes(kind); // what is found is not said to be of a model
    const all = element("a", { href: "#/gallery", textContent: "Show all" });
    this.node = element("section", { className: "gallery-page" }, element("h2", { textContent: "Gallery", tabIndex: -1 }), tools, this.#labels.node, element("div", { className: "line" }, this.#told, ...(kind ? [all] : [])), this.#said, this.#selection.node, this.#empty, this.#grid, this.#more);
    this.#more.addEventListener("click", () => once(this.#more, () => this.#next()));
    this.#likes.addEventListener("click", () => this.#showLiked(!this.#likedOnly));
    this.#grid.addEventListener("click", (event) => this.#selection.clicked(event, this.#shown()));
    if (kind === "label") this.#labels.chosen = what;
    if (kind === "search") this.#look(searchByText(what), `“${what}”`);
    if (kind === "like") this.#look(searchByPicture({ job: what }), "a picture");
  }

  get #isSearch() {
    return this.#found !== null || ["search", "like"].includes(this.#kind);
  }

  async refresh() {
    if (this.#isSearch) return;
    const page = await this.#page(null);
    if (this.#cursor === undefined) this.#cursor = page.next_cursor;
    const fresh = new Set(page.data.map(({ id }) => id));
    this.#older = this.#older.filter(({ id }) => !fresh.has(id));
    this.#newest = page.data;
    this.#labels.know(page.data.flatMap(({ request }) => request.labels ?? []));
    this.#filter.know(this.#jobs());
    this.#draw();
  }

  event(event) {
    if (event.type === "deleted") this.#forget([event.job_id]);
  }

  #page(cursor) {
    return listJobs({ status: "succeeded", label: this.#kind === "label" ? this.#what : null, limit: PAGE, cursor });
  }

  async #next() {
    try {
      const page = await this.#page(this.#cursor);
      this.#older.push(...page.data);
      this.#cursor = page.next_cursor;
      const hadFocus = document.activeElement === this.#more;
      this.#draw();
      const [first] = page.data.flatMap((job) => job.images.map((image) => this.#item(job, image)));
      if (hadFocus && this.#more.hidden) enter(first?.node);
    } catch (error) {
      this.#said.textContent = reasonOf(error);
    }
  }

  async #look(answer, words) {
    this.#found ??= [];
    this.#said.textContent = "";
    this.#told.textContent = `Looking for ${words}…`;
    try {
      const { clip, data } = await answer;
      this.#found = data.map(({ job_id: id, prompt, image, similarity }) => ({ id, request: { prompt }, images: [{ ...image, similarity }] }));
      this.#draw();
      this.#told.textContent = `The nearest to ${words}, as ${clip} sees them.`;
    } catch (error) {
      this.#told.textContent = "";
      this.#said.textContent = reasonOf(error);
    }
  }

  async #showLiked(likedOnly) {
    this.#likedOnly = likedOnly;
    this.#likes.ariaPressed = String(likedOnly);
    this.#draw();
    if (!likedOnly || this.#isSearch) return;
    const known = new Set(this.#jobs().map(({ id }) => id));
    const missing = [...new Set(favourites.all().map((key) => key.split("/")[0]))].filter((id) => !known.has(id));
    const jobs = await Promise.all(missing.map((id) => getJob(id).catch((error) => this.#gone(id, error))));
    this.#liked.push(...jobs.filter(Boolean));
    this.#draw();
  }

  // A favourite whose job is deleted, or has expired, is one no more.
  #gone(id, error) {
    if (error instanceof Refused && error.problem.status === 404) favourites.forget([id]);
    return null;
  }

  #jobs() {
    if (this.#isSearch) return this.#found ?? [];
    return [...this.#newest, ...this.#older, ...(this.#likedOnly ? this.#liked : [])];
  }

  // The items as they are shown, in their order.
  #shown() {
    const made = this.#jobs().flatMap((job) => job.images.map((image) => this.#item(job, image)));
    const liked = this.#likedOnly ? made.filter(({ key }) => favourites.has(key)) : made;
    const kept = this.#isSearch ? liked : liked.filter((item) => this.#filter.fits(item));
    const scoreOf = ({ image }) => image[order] ?? -Infinity;
    return order === "newest" ? kept : kept.sort((one, other) => scoreOf(other) - scoreOf(one));
  }

  #draw() {
    const items = this.#shown();
    arrange(this.#grid, items.map(({ node }) => node));
    set(this.#empty, "hidden", items.length > 0);
    set(this.#more, "hidden", this.#isSearch || !this.#cursor || this.#likedOnly);
    if (!this.#isSearch) set(this.#told, "textContent", this.#words());
  }

  #words() {
    if (this.#likedOnly) return "Favourites are kept in this browser.";
    if (this.#filter.isUsed && this.#cursor) return "Of those that are loaded.";
    return order !== "newest" && this.#cursor ? "Sorted among those that are loaded." : "";
  }

  #item(job, image) {
    const key = `${job.id}/${image.index}`;
    if (!this.#items.has(key)) this.#items.set(key, new Item(job, image, { onUse: this.#onUse, onLike: () => this.#likedOnly && this.#draw(), onEnlarge: (item) => this.#enlarge(item) }));
    return this.#items.get(key);
  }

  #enlarge(item) {
    const shown = this.#shown();
    openPictures(shown, shown.indexOf(item));
  }

  // These jobs are gone.
  #forget(ids) {
    const gone = new Set(ids);
    const left = (jobs) => jobs.filter(({ id }) => !gone.has(id));
    [this.#newest, this.#older, this.#liked] = [this.#newest, this.#older, this.#liked].map(left);
    if (this.#found) this.#found = left(this.#found);
    favourites.forget(ids);
    for (const [key, item] of this.#items) if (gone.has(item.job.id)) this.#items.delete(key);
    this.#selection.forget(ids);
    this.#draw();
  }

  #sorting() {
    const select = element("select", { id: "gallery-order" }, ...Object.entries(ORDERS).map(([value, textContent]) => element("option", { value, textContent })));
    select.value = order;
    select.addEventListener("change", () => {
      order = select.value;
      this.#draw();
    });
    const isKept = !["search", "like"].includes(this.#kind);
    return element("div", { className: "sorting", hidden: !isKept }, element("label", { htmlFor: select.id, className: "visually-hidden", textContent: "Order" }), select);
  }
}
