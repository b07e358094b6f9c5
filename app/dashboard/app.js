// The page: what the address names, kept up to date by the stream of events, and by asking when there is none.

import { Refused, Unreachable, getQueue } from "./server/api.js";
import { set } from "./parts/dom.js";
import { fillForm, startFrom, tellQueue, watchForm } from "./form/form.js";
import { JobList } from "./pages/jobs.js";
import { go, watchKeys } from "./parts/keys.js";
import { rememberInputs } from "./server/inputs.js";
import { Live } from "./server/live.js";
import { Poll } from "./server/poll.js";
import { watchPresses } from "./parts/presses.js";
import { showAllowance, showSender } from "./parts/sender.js";
import { showLine } from "./operation/queue_line.js";
import { startAdvice } from "./operation/starting.js";
import { duration, promptOf, shortened } from "./parts/words.js";

const WITH_EVENTS_MS = 10000;
const WITHOUT_EVENTS_MS = 1500;
const SLOW_MS = 4000;
const PAGES = [
  [/^#\/gallery(?:\/(search|like|label)\/(.+))?$/, (kind, what) => import("./gallery/page.js").then(({ Gallery }) => new Gallery(useAsInput, kind, what))],
  [/^#\/workers$/, () => import("./operation/workers.js").then(({ Workers }) => new Workers(() => poll.now()))],
  [/^#\/overview$/, () => import("./operation/overview.js").then(({ Overview }) => new Overview())],
  [/^#\/jobs\/([^/]+)$/, (id) => import("./pages/job.js").then(({ JobPage }) => new JobPage(id, edit, useAsInput))],
  [/^#\/nights$/, () => import("./nights/list.js").then(({ NightList }) => new NightList())],
  [/^#\/nights\/([^/]+)$/, (id) => import("./nights/page.js").then(({ NightPage }) => new NightPage(id))],
  [/^#\/sets\/([^/]+)$/, (label) => import("./sweeps/page.js").then(({ SetPage }) => new SetPage(label))],
  [/^#\/compare\/([^/]+)\/([^/]+)$/, (first, second) => import("./pages/compare.js").then(({ Compare }) => new Compare(first, second))],
];

const find = (id) => document.getElementById(id);
let page = null; // what is shown instead of the list, if anything
let freshAt = null; // when the data that is shown was got
let trouble = null; // why no newer data comes

const announce = (words) => (find("announcer").textContent = words);
const poll = new Poll(refresh, () => (live.isOpen ? WITH_EVENTS_MS : WITHOUT_EVENTS_MS));
const jobs = new JobList(announce, () => poll.now());
const live = new Live(
  (event) => {
    jobs.event(event);
    page?.event?.(event);
    if (event.type !== "progress" && event.type !== "preview") poll.soon();
  },
  () => poll.soon(),
);

async function refresh() {
  const slow = setTimeout(() => tell("The server is slow to answer."), SLOW_MS);
  const shown = page;
  try {
    const [queue] = await Promise.all([getQueue(), shown ? shown.refresh(live.isOpen) : jobs.refresh(live.isOpen)]);
    showQueue(queue);
    showTitle(queue);
    showAllowance().catch(() => {}); // beside the point while there is other trouble, and for keys that may not ask
    freshAt = Date.now();
    tell(null);
    tellQueue(queue);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) reportError(error);
    tell(error instanceof Refused ? refusedWords(error) : "The server cannot be reached.");
  } finally {
    clearTimeout(slow);
  }
}

function refusedWords({ message, problem }) {
  if (problem.status !== 500) return `The server answers: ${message}.`;
  return `The server has an internal error${problem.request_id ? ` (request ${problem.request_id})` : ""}.`;
}

function showQueue(queue) {
  const { jobs: counts, workers } = queue;
  showLine(find("workers"), queue);
  const note = find("note");
  const areDrained = workers > 0 && queue.draining_workers === workers;
  set(note, "hidden", (workers > 0 && !areDrained) || counts.queued === 0);
  set(note, "textContent", areDrained ? "Every worker is drained, so jobs wait. The page Workers resumes one." : `No worker is running, so jobs wait. ${startAdvice(queue)}`);
  jobs.showCounts(counts);
}

function showTitle({ jobs: { running } }) {
  const title = page ? page.title : running ? `${running} running` : "";
  set(document, "title", title ? `${title} · Lodestar` : "Lodestar");
}

function tell(newTrouble) {
  trouble = newTrouble;
  set(find("trouble"), "textContent", trouble ?? "");
  set(find("banner"), "hidden", trouble === null);
  showAge();
}

// Apart from the trouble itself, so that a screen reader does not say it every second.
function showAge() {
  if (trouble === null) return;
  const age = freshAt ? `What you see is ${duration(Math.floor((Date.now() - freshAt) / 1000))} old.` : "Nothing is loaded yet.";
  set(find("data-age"), "textContent", ` ${age} Trying again…`);
}

function showAccepted(job) {
  jobs.add(job);
  announce(`Submitted: ${shortened(promptOf(job))}`);
  poll.now();
}

function edit(request, job) {
  rememberInputs(job);
  go("#/", () => fillForm(request));
}

function useAsInput(job, image) {
  go("#/", () => {
    startFrom(`${job.id}/${image.index}`, promptOf(job));
    announce("The picture is in the form, to start from.");
  });
}

let opening = 0; // counts the pages that were asked for: one that comes late is not shown

async function open({ isFirst = false } = {}) {
  const found = PAGES.map(([address, make]) => [location.hash.match(address), make]).find(([match]) => match);
  opening += 1;
  const asked = opening;
  const made = found ? found[1](...found[0].slice(1).map((part) => part && decodeURIComponent(part))) : null;
  const next = made instanceof Promise ? await made.catch(fallBack) : made;
  if (asked !== opening) return;
  page?.close?.();
  page = next;
  find("home").hidden = page !== null;
  find("page").hidden = page === null;
  find("page").replaceChildren(...(page ? [page.node] : []));
  for (const link of document.querySelectorAll("nav a")) {
    link.ariaCurrent = link.hash === (location.hash || "#/") && link.pathname === location.pathname ? "page" : null;
  }
  if (!isFirst) {
    scrollTo(0, 0);
    (page ? find("page").querySelector("h2") : find("jobs-title"))?.focus({ preventScroll: true });
  }
  poll.now();
}

// A page whose file cannot be loaded: the list is shown, which says that the server cannot be reached.
function fallBack(error) {
  console.warn(error);
  announce("The page could not be loaded.");
  return null;
}

function showJobs(event) {
  event.preventDefault(); // the address after the # names a page
  go("#/", () => {
    find("jobs-title").focus();
    find("jobs-title").scrollIntoView();
  });
}

watchForm(showAccepted);
for (const link of document.querySelectorAll("a[href='#jobs-title']")) link.addEventListener("click", showJobs);
watchKeys();
watchPresses();
showSender(announce).catch(() => {}); // without an answer everything is offered, and the server decides
addEventListener("hashchange", () => open());
addEventListener("popstate", () => jobs.showChoice());
setInterval(() => {
  jobs.tick();
  page?.tick?.();
  showAge();
}, 1000);
open({ isFirst: true });
