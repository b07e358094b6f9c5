// The pictures that are selected, and what can be done with them together.

import { archiveUrl, doToAll, makeEmbedding, reasonOf } from "../server/api.js";
import { Sure } from "../many/sure.js";
import { element, set } from "../parts/dom.js";
import { count } from "../parts/words.js";

const MOST = 200; // of one call

export class Selection {
  node;
  #chosen = new Map(); // items by their keys
  #last = null; // key of the one that was clicked last
  #onGone;
  #told = element("p", { role: "status" });
  #zip = element("a", { className: "button", textContent: "Download as zip" });
  #compare = element("a", { className: "button", textContent: "Compare" });
  #delete;
  #taste = element("form", { className: "taste" });
  #said = element("p", { className: "field-error", role: "alert" });

  // `onGone` gets the ids of the jobs that were deleted.
  constructor(onGone) {
    this.#onGone = onGone;
    this.#delete = new Sure((number, isSure) => (isSure ? `Delete ${count(number, "job")} and all their pictures: sure?` : `Delete ${count(number, "job")}`), () => this.#deleteAll());
    const none = element("button", { type: "button", textContent: "Select none" });
    none.addEventListener("click", () => {
      for (const item of [...this.#chosen.values()]) this.#choose(item, false);
      this.#tell();
    });
    this.#buildTaste();
    this.node = element("div", { className: "selection card", role: "group", ariaLabel: "Selected pictures", hidden: true }, this.#told, this.#zip, this.#compare, this.#delete.node, this.#taste, none, this.#said);
  }

  // A click on a checkbox of one of these items; with Shift, on all from the last one to it.
  clicked(event, items) {
    const key = event.target.dataset?.key;
    const place = items.findIndex((item) => item.key === key);
    if (place < 0) return;
    const { isChosen } = items[place];
    const from = event.shiftKey ? items.findIndex((item) => item.key === this.#last) : -1;
    const [first, last] = from < 0 ? [place, place] : [Math.min(from, place), Math.max(from, place)];
    for (const item of items.slice(first, last + 1)) this.#choose(item, isChosen);
    this.#last = key;
    this.#tell();
  }

  // These jobs are gone.
  forget(ids) {
    for (const [key, item] of this.#chosen) if (ids.includes(item.job.id)) this.#chosen.delete(key);
    this.#tell();
  }

  get #ids() {
    return [...new Set([...this.#chosen.values()].map(({ job }) => job.id))];
  }

  #choose(item, isChosen) {
    item.isChosen = isChosen;
    if (isChosen) this.#chosen.set(item.key, item);
    else this.#chosen.delete(item.key);
  }

  #tell() {
    const keys = [...this.#chosen.keys()];
    set(this.node, "hidden", keys.length === 0);
    set(this.#told, "textContent", `${count(keys.length, "picture")} selected`);
    set(this.#zip, "hidden", keys.length > MOST);
    if (keys.length) this.#zip.href = archiveUrl(keys.slice(0, MOST));
    set(this.#compare, "hidden", keys.length !== 2);
    if (keys.length === 2) this.#compare.href = `#/compare/${keys.map(encodeURIComponent).join("/")}`;
    this.#delete.tell(this.#ids.length);
  }

  async #deleteAll() {
    const ids = this.#ids;
    this.#said.textContent = "";
    try {
      for (let from = 0; from < ids.length; from += MOST) {
        const { data, errors } = await doToAll("delete", { ids: ids.slice(from, from + MOST) });
        const gone = errors.filter(({ type }) => type === "unknown_job").map(({ id }) => id);
        this.#onGone([...data, ...gone]);
      }
    } catch (error) {
      this.#said.textContent = reasonOf(error);
    }
  }

  #buildTaste() {
    const name = element("input", { type: "text", id: "taste-name", maxLength: 64, placeholder: "name of a new taste", autocomplete: "off" });
    this.#taste.append(element("label", { htmlFor: name.id, className: "visually-hidden", textContent: "Name of a new aesthetic embedding" }), name, element("button", { textContent: "Make a taste", title: "An aesthetic embedding of these pictures, to personalize towards" }));
    this.#taste.addEventListener("submit", async (event) => {
      event.preventDefault();
      this.#said.textContent = "";
      try {
        const job = await makeEmbedding(name.value.trim(), [...this.#chosen.keys()]);
        location.hash = `#/jobs/${job.id}`;
      } catch (error) {
        this.#said.textContent = reasonOf(error);
        name.focus();
      }
    });
  }
}
