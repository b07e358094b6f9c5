// The job-status page: it shows what the API tells, once a second.

import { Refused, cancelJob, getQueue, listJobs } from "./api.js";
import { arrange, element, set } from "./dom.js";
import { emptyState } from "./empty.js";
import { watchForm } from "./form.js";
import { Poll } from "./poll.js";
import { Row } from "./row.js";
import { count, duration, shortened, subject } from "./words.js";

const EVERY_MS = 1000;
const SLOW_MS = 4000;
const PAGE = 50;
const MOST = 200; // what the API lists at once
const STATUSES = ["queued", "running", "succeeded", "failed", "canceled"];

const find = (id) => document.getElementById(id);
const rows = new Map();
const filters = new Map();
let limit = PAGE;
let freshAt = null; // when the data that is shown was got
let trouble = null; // why no newer data comes

const chosenStatus = () => {
  const status = new URLSearchParams(location.search).get("status");
  return STATUSES.includes(status) ? status : null;
};

const poll = new Poll(refresh, EVERY_MS);

async function refresh() {
  const status = chosenStatus();
  const slow = setTimeout(() => tell("The server is slow to answer."), SLOW_MS);
  try {
    const [page, queue] = await Promise.all([listJobs(status, limit), getQueue()]);
    if (status !== chosenStatus()) return; // another filter was chosen meanwhile
    showJobs(page, status);
    showQueue(queue);
    freshAt = Date.now();
    tell(null);
  } catch (error) {
    tell(error instanceof Refused ? `The server answers: ${error.message}.` : "The server cannot be reached.");
  } finally {
    clearTimeout(slow);
  }
}

function showJobs(page, status) {
  const news = [];
  const listed = page.data.map((job) => {
    const row = rows.get(job.id) ?? new Row(job, cancel);
    if (rows.has(job.id) && row.job.status !== job.status) news.push(`${shortened(subject(job.request))}: ${job.status}`);
    rows.set(job.id, row);
    row.update(job);
    return row;
  });
  const shown = new Set(page.data.map(({ id }) => id));
  for (const id of rows.keys()) if (!shown.has(id)) rows.delete(id);
  arrange(find("jobs"), listed.map(({ node }) => node));
  find("jobs").ariaBusy = "false";
  showEmpty(listed.length === 0, status);
  set(find("more"), "hidden", page.next_cursor === null || limit >= MOST);
  if (news.length) find("announcer").textContent = news.join(". ");
}

function showEmpty(isEmpty, status) {
  const empty = find("empty");
  const kind = isEmpty ? (status ?? "all") : "";
  if (empty.dataset.kind === kind) return;
  empty.dataset.kind = kind;
  empty.hidden = !isEmpty;
  empty.replaceChildren(...(isEmpty ? emptyState(status) : []));
}

function showQueue({ jobs, workers }) {
  const line = find("workers");
  line.hidden = false;
  line.className = `workers ${workers ? "some" : "none"}`;
  set(line, "textContent", workers ? count(workers, "worker") : "no worker");
  const note = find("note");
  set(note, "hidden", workers > 0 || jobs.queued === 0);
  set(note, "textContent", "No worker is running, so jobs wait. Start one with: lodestar worker");
  const all = Object.values(jobs).reduce((sum, number) => sum + number, 0);
  for (const [status, { number }] of filters) set(number, "textContent", String(status ? jobs[status] : all));
  set(document, "title", jobs.running ? `${jobs.running} running · Lodestar` : "Lodestar");
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

async function cancel(row) {
  row.cancelling = true;
  try {
    await cancelJob(row.job.id);
  } catch (error) {
    row.cancelling = false;
    find("announcer").textContent = `Not canceled: ${error.message}`;
  }
  poll.now();
}

function choose(status) {
  const url = new URL(location.href);
  if (status) url.searchParams.set("status", status);
  else url.searchParams.delete("status");
  history.pushState(null, "", url);
  showChoice();
}

function showChoice() {
  for (const [status, { button }] of filters) button.ariaPressed = String(status === chosenStatus());
  limit = PAGE;
  poll.now();
}

function buildFilters() {
  for (const status of [null, ...STATUSES]) {
    const number = element("span", { className: "count" });
    const button = element("button", { type: "button" }, status ?? "all", number);
    button.addEventListener("click", () => choose(status));
    filters.set(status, { button, number });
    find("filters").append(button);
  }
}

function showAccepted(job) {
  if ([null, job.status].includes(chosenStatus()) && !rows.has(job.id)) {
    const row = new Row(job, cancel);
    rows.set(job.id, row);
    find("jobs").prepend(row.node);
    showEmpty(false, null);
  }
  find("announcer").textContent = `Submitted: ${shortened(subject(job.request))}`;
  poll.now();
}

buildFilters();
watchForm(showAccepted);
find("more").addEventListener("click", () => {
  limit = Math.min(limit * 2, MOST);
  poll.now();
});
addEventListener("popstate", showChoice);
setInterval(() => {
  rows.forEach((row) => row.tick());
  showAge();
}, 1000);
showChoice();
