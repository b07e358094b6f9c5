// Where to see the pictures that requests name.

import { at } from "./api.js";

const SEEN = "lodestar-inputs";

export const inputUrl = (jobId, name) => at(`/v1/jobs/${encodeURIComponent(jobId)}/inputs/${encodeURIComponent(name)}`);

// The address of a picture by its name in a request: an upload, a picture of a remembered job's request, or JOB/INDEX.
export function pictureUrl(name) {
  const [job, index] = name.split("/");
  if (index !== undefined) return at(`/v1/jobs/${encodeURIComponent(job)}/images/${encodeURIComponent(index)}`);
  const jobId = seen()[name];
  return jobId ? inputUrl(jobId, name) : at(`/v1/uploads/${encodeURIComponent(name)}/content`);
}

// Remember where the pictures of a job's request are: they outlive the uploads that they were.
export function rememberInputs({ id, request: { edit, init, mask, controls = [], image_prompts = [] } }) {
  const names = [edit, init, mask, ...controls, ...image_prompts].filter(Boolean).map(({ image }) => image);
  const all = { ...seen(), ...Object.fromEntries(names.map((name) => [name, id])) };
  sessionStorage.setItem(SEEN, JSON.stringify(all));
}

function seen() {
  return JSON.parse(sessionStorage.getItem(SEEN) ?? "{}");
}
