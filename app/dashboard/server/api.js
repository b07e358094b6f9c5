// Calls to the server that this page came from.

const TIMEOUT_MS = 15000;
const UPLOAD_TIMEOUT_MS = 180000; // a photo over a slow line

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

async function call(path, options = {}, timeoutMs = TIMEOUT_MS) {
  const answer = await fetch(at(path), { ...options, signal: AbortSignal.timeout(timeoutMs) }).catch(unreachable);
  const told = Date.parse(answer.headers.get("date"));
  // The header counts whole seconds: only a difference that those cannot explain is taken for a wrong clock.
  if (told) clockLead = Math.abs(told - Date.now()) > 2000 ? told - Date.now() : 0;
  const json = answer.headers.get("content-type")?.includes("json");
  const body = json ? await answer.json().catch(unreachable) : {};
  if (answer.status === 401 && !path.startsWith("/log")) {
    location.replace(at("/login") + location.hash); // the session has ended, or there is none yet
  }
  if (!answer.ok) throw new Refused(json ? body : { status: answer.status, detail: `the server answered ${answer.status}` });
  return body;
}

const jobPath = (id) => `/v1/jobs/${encodeURIComponent(id)}`;
export const previewUrl = (id, index, step) => at(`${jobPath(id)}/previews/${index}?step=${step}`);
export const listJobs = (status, limit, cursor = null) =>
  call(`/v1/jobs?${new URLSearchParams({ limit, ...(status && { status }), ...(cursor && { cursor }) })}`);
export const getJob = (id) => call(jobPath(id));
export const getQueue = () => call("/v1/queue");
export const getUsage = () => call("/v1/usage");
export const listWorkers = () => call("/v1/workers");
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
export const cancelJob = (id) => call(`${jobPath(id)}/cancel`, { method: "POST" });
// Do something with all jobs of a status, or with so many of them as one call takes.
export const doToAll = (action, status) =>
  call(`/v1/jobs/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": newKey() },
    body: JSON.stringify({ status: [status] }),
  });
export const submitJob = (request, key) =>
  call("/v1/jobs", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(request),
  });

// Keep a picture on the server; its id, size and expiry.
export const uploadPicture = (file) =>
  call("/v1/uploads", { method: "POST", headers: { "Content-Type": file.type }, body: file }, UPLOAD_TIMEOUT_MS).then(({ data }) => data[0]);

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
