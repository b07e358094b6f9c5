// Submit what the form holds: once, or without guidance and with it.

import { newKey, submitJob } from "../server/api.js";

// A request keeps its key until it is answered, so a retry after a lost answer makes no second job.
const keys = new Map();

export async function submitOnce(request) {
  const body = JSON.stringify(request);
  if (!keys.has(body)) keys.set(body, newKey());
  const job = await submitJob(request, keys.get(body));
  keys.delete(body);
  return job;
}

// The same request without guidance and with it, from the same seed.
export async function submitBoth({ guidance, seed, ...request }, onAccepted) {
  const plain = await submitOnce(seed === undefined ? request : { ...request, seed });
  onAccepted(plain);
  const guided = await submitOnce({ ...request, seed: plain.request.seed, guidance });
  onAccepted(guided);
  location.hash = `#/compare/${plain.id}/${guided.id}`;
}
