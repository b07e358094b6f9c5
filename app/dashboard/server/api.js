// Calls to the server that this page came from.

const TIMEOUT_MS = 15000;
const UPLOAD_TIMEOUT_MS = 180000; // a photo over a slow line
const MOST_FOUND = 60; // pictures of one search
const SEARCH_TIMEOUT_MS = 70000; // a worker reads the query first

// The server's root: a proxy may serve it under a prefix. This file is one folder below it.
const base = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

export const at = (path) => base + path;
export const address = location.origin + base;

// A refusal of the server: `problem` is its problem document.
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "the server refused");
    this.problem = problem;
  }
}

// No answer came, or not all of one.
export class Unreachable extends Error {}

const unreachable = (error) => {
  throw new Unreachable(error.message);
};

let clockLead = 0; // of the server over this machine, in ms: ages are by the server's clock

export const serverNow = () => Date.now() + clockLead;

const isJson = (answer) => answer.headers.get("content-type")?.includes("json");

async function call(path, options = {}, timeoutMs = TIMEOUT_MS) {
  const answer = await ask(path, options, timeoutMs);
  return answer.status !== 204 && isJson(answer) ? answer.json().catch(unreachable) : {};
}

// An answer that is no refusal.
async function ask(path, options, timeoutMs) {
  const answer = await fetch(at(path), { ...options, signal: AbortSignal.timeout(timeoutMs) }).catch(unreachable);
  const told = Date.parse(answer.headers.get("date"));
  // The header counts whole seconds: only a difference that those cannot explain is taken for a wrong clock.
  if (told) clockLead = Math.abs(told - Date.now()) > 2000 ? told - Date.now() : 0;
  if (answer.status === 401 && !path.startsWith("/log")) {
    location.replace(at("/login") + location.hash); // the session has ended, or there is none yet
  }
  if (answer.ok) return answer;
  throw new Refused(isJson(answer) ? await answer.json().catch(unreachable) : { status: answer.status, detail: `the server answered ${answer.status}` });
}

const jobPath = (id) => `/v1/jobs/${encodeURIComponent(id)}`;
export const previewUrl = (id, index, step) => at(`${jobPath(id)}/previews/${index}?step=${step}`);
// What is asked for, as a query: a list several times, and nothing of what is empty.
function queryOf(fields) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") query.append(name, one);
  return query;
}

// A page of jobs. `filters` are those of the API; `order` is "newest", or "turn" for those that wait.
export const listJobs = ({ order = "newest", ...filters }) => call(`/v1/jobs?${queryOf({ ...filters, order: order === "newest" ? null : order })}`);
// How many jobs have failed for each reason.
export const listFailures = (filters) => call(`/v1/jobs/failures?${queryOf(filters)}`);
export const getJob = (id) => call(jobPath(id));
export const getQueue = () => call("/v1/queue");
export const getHistory = () => call("/v1/queue/history");
export const getTimeline = (id) => call(`${jobPath(id)}/timeline`);
export const getUsage = () => call("/v1/usage");
export const listWorkers = () => call("/v1/workers");
// "drain" or "resume" a worker; the worker after that.
export const changeWorker = (name, action) => call(`/v1/workers/${encodeURIComponent(name)}/${action}`, { method: "POST" });
let keyed = false; // whether this server asks for keys

export const asksForKeys = () => keyed;
export const getSender = () =>
  call("/v1/whoami").then((sender) => {
    keyed = sender.via !== "open";
    return sender;
  });
export const logOut = () => call("/logout", { method: "POST" });
export const logIn = (key) =>
  call("/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ key }),
  });
export const listModels = () => call("/v1/models");
export const deleteJob = (id) => call(jobPath(id), { method: "DELETE" });
// Give a waiting job another priority; the job.
export const prioritizeJob = (id, priority) => call(`${jobPath(id)}/prioritize`, sending({ priority }));
export const cancelJob = (id) => call(`${jobPath(id)}/cancel`, { method: "POST" });
const sending = (body, key) => ({
  method: "POST",
  headers: { "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) },
  body: JSON.stringify(body),
});
// Keep a picture that a best-of-n job did not choose; the job.
export const keepCandidate = (id, index) => call(`${jobPath(id)}/candidates/${index}/keep`, { method: "POST" });
// Do something with chosen jobs, by `{ ids }` or by filters; with so many of them as one call takes.
export const doToAll = (action, chosen) => call(`/v1/jobs/${action}`, sending(chosen, newKey()));
export const submitJob = (request, key) => call("/v1/jobs", sending(request, key));
const nightPath = (id) => `/v1/nights/${encodeURIComponent(id)}`;
export const listNights = () => call("/v1/nights");
export const getNight = (id) => call(nightPath(id));
export const beginNight = (wanted, key) => call("/v1/nights", sending(wanted, key));
// Finish or cancel a night; the night.
export const doToNight = (id, action) => call(`${nightPath(id)}/${action}`, { method: "POST" });
export const deleteNight = (id) => call(nightPath(id), { method: "DELETE" });
// What a job would cost; refused as the job itself would be.
export const quoteJob = (request) => call("/v1/quote", sending(request));

// The map that a control would read, as a file.
export const detectMap = (fields) => ask("/v1/controls/detect", sending(fields), SEARCH_TIMEOUT_MS).then((answer) => answer.blob().catch(unreachable));

// Keep a picture on the server; its id, size and expiry.
export const uploadPicture = (file) =>
  call("/v1/uploads", { method: "POST", headers: { "Content-Type": file.type }, body: file }, UPLOAD_TIMEOUT_MS).then(({ data }) => data[0]);

// The kept pictures that are nearest to a text, or to a picture: a file, or one of a job as JOB/INDEX.
export const searchByText = (q) => call(`/v1/search?${new URLSearchParams({ q, limit: MOST_FOUND })}`, {}, SEARCH_TIMEOUT_MS);
export const searchByPicture = (one) => call("/v1/search", { method: "POST", body: formOf({ ...one, limit: MOST_FOUND }) }, SEARCH_TIMEOUT_MS);

export const listEmbeddings = () => call("/v1/aesthetic-embeddings");
// Make an aesthetic embedding of pictures of jobs.
export const makeEmbedding = (name, jobs) => call("/v1/aesthetic-embeddings", { method: "POST", body: formOf({ name, jobs }) });

// The address of a zip file of pictures, each as JOB/INDEX, or as JOB for all of its.
export const archiveUrl = (pictures) => at(`/v1/images.zip?${new URLSearchParams(pictures.map((picture) => ["picture", picture]))}`);

// The same of all pictures of one job.
export const picturesUrl = (id) => at(`${jobPath(id)}/images.zip`);

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) form.append(name, one);
  return form;
}

// Answers that are constant while the server runs are fetched once; again after a failure.
function once(ask) {
  let answer = null;
  return () => {
    answer ??= ask().catch((error) => {
      answer = null;
      throw error;
    });
    return answer;
  };
}

export const getDescription = once(() => call("/openapi.json"));
// The adapters, the ControlNets with what makes their maps, and the adapters that tell a model of pictures.
export const getCatalog = once(() =>
  Promise.all(["/v1/adapters", "/v1/controls", "/v1/image-prompts"].map((path) => call(path))).then(([{ data: adapters }, { data: controls, preprocessors }, { data: imagePrompts }]) => ({ adapters, controls, preprocessors, imagePrompts })));
export const getModels = once(() => listModels().then(({ data }) => data));

export function newKey() {
  // Not crypto.randomUUID: browsers offer that over https only.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The message for a failed call. A fault of this page is not one, and goes to the console.
export function reasonOf(error) {
  if (error instanceof Refused) return error.message;
  if (!(error instanceof Unreachable)) reportError(error);
  return "The server could not be reached. Try again.";
}
