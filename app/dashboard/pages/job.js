// The page of one job: what came of it, how it goes, what was asked, and how to ask it again.

import { Refused, cancelJob, deleteJob, getJob, keepCandidate, newKey, prioritizeJob, reasonOf, serverNow, submitJob } from "../server/api.js";
import { requestAgain, runAgain, varySeed, varySlightly } from "../server/actions.js";
import { Advance } from "../parts/advance.js";
import { BeforeAfter } from "../parts/before.js";
import { Candidates } from "./candidates.js";
import { copyBox } from "../parts/copy.js";
import { element, once, set } from "../parts/dom.js";
import { openLightbox } from "../parts/lightbox.js";
import { Cells, inputButton, picture, pictureButton, scores, scoresHelp } from "../parts/pictures.js";
import { asCurl, asOpenAi, asPython } from "../parts/snippets.js";
import { tracePlot } from "../parts/trace.js";
import { PriorityChoice, canHavePriority } from "../many/priority.js";
import { Sure } from "../many/sure.js";
import { TimelineCard } from "../operation/timeline.js";
import { advice, ago, duration, failureTitle, promptOf, shortened, statusWords } from "../parts/words.js";
import { Details } from "./details.js";

const FINAL = ["succeeded", "failed", "canceled"];
const MORE_TIME = 10; // times as long, for a job that ran out of it
const LONGEST_TIMEOUT_S = 86400; // of the API
const MOST_PREVIEWS = 16;
const MARKS = { succeeded: "✓ ", failed: "! ", canceled: "× ", queued: "", running: "" };

export class JobPage {
  title = "Job";
  #id;
  #job = null;
  #edit;
  #use;
  #prompt = element("h2", { tabIndex: -1, textContent: "Job" });
  #badge = element("span", { className: "badge" });
  #age = element("span", { className: "age" });
  #advance = new Advance();
  #log = element("ul", { className: "log" });
  #error = element("div", { className: "reason", hidden: true });
  #notes = element("ul", { className: "log" });
  #stage = element("div", { className: "stage frame" });
  #cells = new Cells(this.#stage, MOST_PREVIEWS);
  #pictures = element("div", { className: "results" });
  #help = element("div");
  #before = new BeforeAfter();
  #candidates = new Candidates((job, candidate) => this.#attempt(async () => this.#show(await keepCandidate(job.id, candidate.index))));
  #buttons = element("div", { className: "buttons" });
  #delete = new Sure((_, isSure) => (isSure ? "Delete the job and its pictures: sure?" : "Delete"), () => this.#attempt(() => deleteJob(this.#id).then(() => (location.hash = "#/"))));
  #said = element("p", { className: "field-error", role: "alert" });
  #priority = new PriorityChoice((priority) => this.#attempt(async () => this.#show(await prioritizeJob(this.#id, priority))));
  #details = new Details();
  #timeline = new TimelineCard();
  #code = element("div", { className: "stacked" });
  #shown = "";

  // `edit` puts a request into the form, `use` a picture.
  constructor(id, edit, use) {
    this.#id = id;
    this.#edit = edit;
    this.#use = use;
    const line = element("div", { className: "line" }, this.#badge, this.#age, this.#priority.node);
    const head = element("div", { className: "card stacked" }, this.#prompt, line, this.#advance.node, this.#error, this.#notes, this.#log);
    const actions = element("div", { className: "stacked actions-of" }, this.#buttons, this.#said);
    this.node = element("article", { className: "stacked job-page" }, element("p", {}, element("a", { href: "#/", textContent: "← All jobs" })), head, this.#stage, this.#pictures, this.#help, actions, this.#before.node, this.#candidates.node, this.#timeline.node, this.#details.node, this.#code);
  }

  async refresh() {
    try {
      this.#show(await getJob(this.#id));
    } catch (error) {
      if (!(error instanceof Refused) || error.problem.status !== 404) throw error;
      this.#missing();
    }
  }

  event(event) {
    if (event.job_id !== this.#id || !this.#job) return;
    if (event.type === "progress") this.#show({ ...this.#job, status: "running", progress: event });
    if (event.type === "preview") this.#cells.preview(event);
    if (event.type === "log") this.#log.append(element("li", { className: event.level, textContent: event.message }));
    if (event.type === "done" && event.job) this.#show(event.job);
    if (event.type === "deleted") this.#missing();
  }

  tick() {
    const job = this.#job;
    if (!job) return;
    this.#advance.tick();
    const since = (time) => (serverNow() - Date.parse(time)) / 1000;
    const started = job.status === "running" && job.started_at;
    set(this.#age, "textContent", started ? `for ${duration(Math.max(0, Math.floor(since(started))))}` : ago(since(job.finished_at ?? job.created_at)));
  }

  #missing() {
    this.title = "No such job";
    const words = element("strong", { textContent: "There is no such job" });
    this.node.replaceChildren(element("h2", { tabIndex: -1, textContent: "Job" }), element("div", { className: "empty" }, words, "It was deleted, or has expired. ", element("a", { href: "#/", textContent: "See all jobs" })));
  }

  #show(job) {
    this.#job = job;
    const canceling = job.cancel_requested && !FINAL.includes(job.status);
    this.title = `${MARKS[job.status]}${shortened(promptOf(job), 40)}`;
    set(this.node.dataset, "status", canceling ? "canceling" : job.status);
    set(this.#prompt, "textContent", promptOf(job));
    set(this.#badge, "textContent", statusWords(job));
    this.#advance.show(job);
    this.tick();
    this.#priority.show([job].filter(canHavePriority));
    this.#showStage(job);
    this.#candidates.show(job);
    const key = `${job.status} ${job.cancel_requested} ${job.attempts} ${job.request.priority} ${job.notes?.length} ${job.webhook?.status} ${job.images.length}`;
    if (key === this.#shown) return;
    this.#shown = key;
    this.#timeline.refresh(job.id).catch(() => (this.#shown = "")); // then it is asked for again
    this.#showError(job);
    this.#notes.replaceChildren(...(job.notes ?? []).map((note) => element("li", { textContent: note })));
    this.#showButtons(job);
    this.#details.show(job);
    if (job.status === "succeeded") this.#showPictures(job);
    this.#before.show(job);
    if (this.#code.childElementCount === 0 && !job.request.kind) this.#showCode(job);
  }

  #showStage(job) {
    set(this.#stage, "hidden", job.status !== "running" && job.status !== "queued");
    if (job.request.width) this.#stage.style.aspectRatio = `${job.request.width} / ${job.request.height}`;
    if (!this.#stage.hidden) this.#cells.show(job);
  }

  #showPictures(job) {
    const vary = (_, image) => this.#attempt(async () => go(await varySlightly(job, image)));
    this.#pictures.replaceChildren(...job.images.map((image) => result(job, image, this.#use, vary)));
    set(this.#pictures.dataset, "many", String(job.images.length > 4));
    this.#help.replaceChildren(...scoresHelp(job));
  }

  #showError({ error }) {
    set(this.#error, "hidden", !error);
    if (!error) return;
    const code = element("code", { className: "dim", textContent: error.type });
    this.#error.replaceChildren(element("strong", { textContent: failureTitle(error) }), " ", code, element("p", { textContent: advice(error.type) }));
  }

  #showButtons(job) {
    const buttons = [];
    const add = (words, act) => {
      const button = element("button", { type: "button", textContent: words });
      button.addEventListener("click", () => once(button, () => this.#attempt(act)));
      buttons.push(button);
    };
    if (job.error?.type === "deadline_exceeded" && !job.request.kind) {
      const timeout = Math.min(LONGEST_TIMEOUT_S, Math.max(1, job.request.timeout_s * MORE_TIME));
      add(`Run again with ${duration(timeout)}`, async () => go(await submitJob({ ...(await requestAgain(job.request)), timeout_s: timeout }, newKey())));
    }
    if (!FINAL.includes(job.status)) add("Cancel", async () => this.#show(await cancelJob(job.id)));
    if (!job.request.kind) {
      if (job.status !== "succeeded") add("Run again", async () => go(await runAgain(job)));
      add("New variation", async () => go(await varySeed(job)));
      add("Edit in the form", async () => this.#edit(await requestAgain(job.request), job));
      add(job.request.guidance ? "Compare with unguided" : "Compare with guided", () => compare(job));
    }
    if (FINAL.includes(job.status)) buttons.push(this.#delete.node);
    this.#delete.tell(1);
    const focused = [...this.#buttons.children].find((button) => button === document.activeElement)?.textContent;
    this.#buttons.replaceChildren(...buttons);
    // One that is gone leaves it to the heading: its neighbour would be pressed by mistake.
    if (focused) (buttons.find(({ textContent }) => textContent === focused) ?? this.#prompt).focus();
  }

  async #attempt(act) {
    this.#said.textContent = "";
    try {
      await act();
    } catch (error) {
      this.#said.textContent = reasonOf(error);
    }
  }

  async #showCode(job) {
    const request = await requestAgain(job.request);
    const box = (words, text, open) => element("details", { className: "card", open }, element("summary", { textContent: words }), copyBox(text, words));
    this.#code.replaceChildren(
      box("As curl", asCurl(request), true),
      box("As Python, with httpx", asPython(request), false),
      box("As Python, with the OpenAI SDK", asOpenAi(request), false),
      box("The whole job, as JSON", JSON.stringify(job, null, 2), false),
    );
  }
}

const go = (job) => (location.hash = `#/jobs/${job.id}`);

// The same job with guidance in place of none, or the other way round. Asked for again, it is found again.
async function compare(job) {
  const { guidance, ...plain } = await requestAgain(job.request);
  const other = await submitJob(guidance ? plain : { ...plain, guidance: { trace: true } }, `compare-${job.id}`);
  location.hash = `#/compare/${guidance ? `${other.id}/${job.id}` : `${job.id}/${other.id}`}`;
}

function result(job, image, use, vary) {
  const told = [`seed ${image.seed}`, `${image.width} × ${image.height}`, ...scores(image)].join(" · ");
  const shown = element("a", { href: image.url, title: "Enlarge the picture" }, picture(job, image, "eager"));
  shown.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own is asked for
    event.preventDefault();
    openLightbox(job, image);
  });
  const files = ["png", "webp", "jpeg"].flatMap((name) => [" ", element("a", { href: `${image.url}.${name}`, download: `${job.id}-${image.index}.${name}`, textContent: name, ariaLabel: `Download picture ${image.index + 1} as ${name}` })]);
  // Of a variation there is no seed whose noise is the picture's.
  const buttons = [inputButton(job, image, use), ...(job.request.variation || job.request.kind ? [] : [pictureButton("Vary slightly", job, image, vary)])];
  return element("figure", { className: "card" }, shown, element("figcaption", {}, told, element("span", { className: "files" }, "Download:", ...files), element("span", { className: "buttons" }, ...buttons)), ...(image.trace?.length ? [tracePlot(image.trace, job.images.map(({ trace }) => trace ?? []), job.request.steps)] : []));
}
