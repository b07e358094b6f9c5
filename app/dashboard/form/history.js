// The prompts of earlier jobs: the newest first, those that are kept on top. The up arrow in an empty prompt recalls them.

import { listJobs } from "../server/api.js";
import { element } from "../parts/dom.js";
import { typeInto } from "./typing.js";

const LOOKED_AT = 100; // jobs
const MOST = 20; // prompts
const KEPT = "lodestar-prompts";

export class History {
  #prompt;
  #list = element("ul", { className: "recent" });
  #none = element("p", { className: "hint", textContent: "No prompt yet." });
  #all = element("details", { className: "recents" }, element("summary", { textContent: "Recent prompts" }), this.#none, this.#list);
  #prompts = [];
  #place = -1; // of the prompt that was recalled

  // Stands in `node`, and helps with the text area `prompt`.
  constructor(node, prompt) {
    this.#prompt = prompt;
    node.append(this.#all);
    this.#all.addEventListener("toggle", () => this.#all.open && this.#load().then(() => this.#draw()).catch(() => {}));
    prompt.addEventListener("keydown", (event) => this.#pressed(event));
  }

  async #load() {
    const { data } = await listJobs({ limit: LOOKED_AT, kind: "generate" });
    this.#prompts = [...new Set([...kept(), ...data.map(({ request }) => request.prompt).filter(Boolean)])].slice(0, MOST);
  }

  async #pressed(event) {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const said = this.#prompt.value;
    const isRecalled = this.#place >= 0 && said === this.#prompts[this.#place];
    if (!isRecalled && (said !== "" || by < 0)) return; // an arrow moves the caret
    event.preventDefault();
    if (!isRecalled) {
      await this.#load().catch(() => {});
      this.#place = -1;
    }
    const next = Math.min(this.#place + by, this.#prompts.length - 1);
    this.#place = next;
    this.#put(this.#prompts[next] ?? "");
  }

  #put(text) {
    typeInto(this.#prompt, text, 0, this.#prompt.value.length);
  }

  #draw() {
    const stars = new Set(kept());
    this.#none.hidden = this.#prompts.length > 0;
    this.#list.replaceChildren(...this.#prompts.map((prompt) => {
      const star = element("button", { type: "button", className: "like", textContent: "★", ariaLabel: `Keep the prompt: ${prompt}`, ariaPressed: String(stars.has(prompt)) });
      star.addEventListener("click", () => (star.ariaPressed = String(toggled(prompt))));
      const take = element("button", { type: "button", className: "chip", textContent: prompt });
      take.addEventListener("click", () => this.#put(prompt));
      return element("li", {}, star, take);
    }));
  }
}

// The prompts that this browser keeps.
function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "[]").filter((prompt) => typeof prompt === "string");
  } catch {
    return []; // of a browser that keeps nothing, or of another program
  }
}

// Keep a prompt, or no more; whether it is kept now.
function toggled(prompt) {
  const others = kept().filter((other) => other !== prompt);
  const isKept = others.length === kept().length;
  try {
    localStorage.setItem(KEPT, JSON.stringify(isKept ? [prompt, ...others] : others));
  } catch {
    return false;
  }
  return isKept;
}
