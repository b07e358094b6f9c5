// One night: its race, what is left of it, and the pictures that it keeps so far, best first.

import { deleteNight, doToNight, getNight, reasonOf } from "../server/api.js";
import { Sure } from "../many/sure.js";
import { arrange, element, set } from "../parts/dom.js";
import { go } from "../parts/keys.js";
import { openPictures } from "../parts/lightbox.js";
import { picture } from "../parts/pictures.js";
import { short } from "../parts/trace.js";
import { promptOf } from "../parts/words.js";
import { Race } from "./race.js";
import { asJob, isOpen, soFar, stateOf } from "./words.js";

export class NightPage {
  title = "Night";
  #id;
  #night = null;
  #heading = element("h2", { textContent: "Night", tabIndex: -1 });
  #badge = element("span", { className: "badge" });
  #told = element("p", { className: "dim", role: "status", tabIndex: -1 });
  #waits = element("p", { className: "note", hidden: true });
  #failure = element("p", { className: "reason", hidden: true });
  #said = element("p", { className: "field-error", role: "alert" });
  #all = element("a", { textContent: "In the gallery" });
  #finish = new Sure((_, isSure) => (isSure ? "Finish now: sure?" : "Finish now"), () => this.#act(() => doToNight(this.#id, "finish")));
  #cancel = new Sure((_, isSure) => (isSure ? "Cancel, enlarge nothing: sure?" : "Cancel"), () => this.#act(() => doToNight(this.#id, "cancel")));
  #delete = new Sure((number, isSure) => (isSure ? "Delete it with its pictures: sure?" : "Delete"), () => this.#remove());
  #race = new Race();
  #kept = element("ul", { className: "gallery" });
  #empty = element("p", { className: "empty", hidden: true }, element("strong", { textContent: "No picture yet" }), "The best come here as they are made.");
  #tiles = new Map(); // by the addresses of their pictures

  constructor(id) {
    this.#id = id;
    const line = element("div", { className: "line" }, this.#badge, this.#all, this.#finish.node, this.#cancel.node, this.#delete.node);
    this.node = element("section", { className: "stacked night-page" }, element("p", {}, element("a", { href: "#/nights", textContent: "← All nights" })), this.#heading, line, this.#told, this.#waits, this.#failure, this.#said, this.#race.node, element("h3", { textContent: "Kept so far, best first" }), this.#empty, this.#kept);
  }

  async refresh() {
    this.#show(await getNight(this.#id));
  }

  tick() {
    if (this.#night) set(this.#badge, "textContent", stateOf(this.#night));
  }

  #show(night) {
    this.#night = night;
    set(this.#heading, "textContent", promptOf(night));
    this.node.dataset.status = night.status;
    this.tick();
    set(this.#told, "textContent", `${soFar(night)}.`);
    set(this.#waits, "hidden", night.waits_for === null);
    set(this.#waits, "textContent", `It waits: ${night.waits_for}.`);
    set(this.#failure, "hidden", night.error === null);
    set(this.#failure, "textContent", night.error ? `${night.status === "failed" ? "It failed" : "The last picture that failed"}: ${night.error.message}` : "");
    this.#all.href = `#/gallery/label/${encodeURIComponent(night.label)}`;
    this.#finish.tell(night.status === "running" ? 1 : 0);
    this.#cancel.tell(isOpen(night) ? 1 : 0);
    this.#delete.tell(1);
    this.#race.show(night);
    set(this.#empty, "hidden", night.kept.length > 0);
    const urls = new Set(night.kept.map(({ url }) => url));
    for (const url of this.#tiles.keys()) if (!urls.has(url)) this.#tiles.delete(url);
    arrange(this.#kept, night.kept.map((kept) => this.#tile(kept)));
  }

  #tile(kept) {
    if (!this.#tiles.has(kept.url)) this.#tiles.set(kept.url, this.#newTile(kept));
    return this.#tiles.get(kept.url);
  }

  #newTile(kept) {
    const job = asJob(this.#night, kept);
    const shown = picture(job, job.images[0]);
    shown.alt = `Picture ${kept.number + 1}`;
    const words = [short(kept.score), `seed ${kept.seed}`, ...(kept.enlarged ? [`enlarged, ${kept.width} × ${kept.height}`] : [])].join(" · ");
    const link = element("a", { href: `#/jobs/${kept.job_id}` }, shown, element("span", { textContent: words }));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own is asked for
      event.preventDefault();
      const all = this.#night.kept.map((each) => asJob(this.#night, each)).map((one) => ({ job: one, image: one.images[0] }));
      openPictures(all, this.#night.kept.findIndex(({ url }) => url === kept.url));
    });
    return element("li", {}, link);
  }

  async #act(act) {
    this.#said.textContent = "";
    try {
      await act();
      await this.refresh();
      this.#told.focus(); // the button may be gone
    } catch (error) {
      this.#said.textContent = reasonOf(error);
    }
  }

  async #remove() {
    this.#said.textContent = "";
    try {
      await deleteNight(this.#id);
      go("#/nights");
    } catch (error) {
      this.#said.textContent = reasonOf(error);
    }
  }
}
