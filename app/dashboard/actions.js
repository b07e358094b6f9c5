// What a person can do with a job: cancel it, run it again, vary its seed.

import { getDescription, newKey, submitJob } from "./api.js";

// The request that makes the same job again. `resolved` has every default filled in, and may name what only the server fills in.
export async function requestAgain(resolved) {
  const { schemas } = (await getDescription()).components;
  const request = trimmed(resolved, schemas.GenerateRequest, schemas);
  if (resolved.select && !("candidates" in resolved.select)) {
    request.select.candidates = resolved.images;
    delete request.images;
  }
  // Said once, so that who edits the prompt steers towards the new one.
  if (request.guidance?.prompt === request.prompt) delete request.guidance.prompt;
  return request;
}

export async function runAgain(job) {
  return submitJob(await requestAgain(job.request), newKey());
}

export async function varySeed(job) {
  const { seed, ...request } = await requestAgain(job.request);
  return submitJob(request, newKey());
}

// Only the fields that a request may have, without those that say nothing or what is said anyway.
function trimmed(value, schema, schemas) {
  const shape = resolveSchema(schema, schemas);
  if (!shape?.properties || typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const kept = Object.entries(value).filter(([name, part]) => {
    const field = shape.properties[name];
    return field && part !== null && JSON.stringify(part) !== JSON.stringify(field.default);
  });
  return Object.fromEntries(kept.map(([name, part]) => [name, trimmed(part, shape.properties[name], schemas)]));
}

// A schema without references and without "or null".
export function resolveSchema(schema, schemas) {
  if (schema.$ref) return resolveSchema(schemas[schema.$ref.split("/").pop()], schemas);
  const wanted = schema.anyOf?.filter(({ type }) => type !== "null");
  if (wanted?.length !== 1) return schema;
  const { anyOf, ...own } = schema;
  return { ...resolveSchema(wanted[0], schemas), ...own };
}
