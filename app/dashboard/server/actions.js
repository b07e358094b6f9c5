// The actions on a job: run it again, vary its seed, vary one of its pictures.

import { getDescription, getModels, newKey, submitJob } from "./api.js";

const VARIATIONS = 4;
const VARIATION_STRENGTH = 0.1;

// The shortest request that makes the same job again. `resolved` has every default filled in.
export async function requestAgain(resolved) {
  const [{ components: { schemas } }, models] = await Promise.all([getDescription(), getModels()]);
  const request = trimmed(resolved, schemas.GenerateRequest, schemas);
  const model = models.find(({ id }) => id === resolved.model);
  if (model) leaveOut(request, model.defaults);
  delete request.cfg_embedded; // it follows from the model
  if (model === models[0]) delete request.model;
  if (model && request.guidance) request.guidance = shortGuidance(resolved, request.guidance, model);
  if (request.hires && resolved.hires.scale !== null) {
    delete request.hires.width; // they come of the scale
    delete request.hires.height;
  }
  if (resolved.long_prompt === (resolved.prompt_syntax === "a1111" ? "chunk" : "cut")) delete request.long_prompt;
  if (resolved.select && same(resolved.select.by, { clip: 1, aesthetic: 0 })) delete request.select.by;
  if (resolved.select && !("candidates" in resolved.select)) {
    request.select.candidates = resolved.num_images;
    delete request.num_images;
  }
  return request;
}

// Guidance without its preset's values and without the prompt, so that an edit of the prompt guides too.
function shortGuidance({ prompt, guidance: { preset: chosen, clip, objectives } }, short, { defaults, guidance_presets: presets }) {
  const preset = presets.find(({ id }) => id === chosen);
  const usual = [{ type: "text", text: prompt, clip, weight: 1, start: 0, end: 1 }, ...preset.regularizers];
  if (same(objectives, usual)) delete short.objectives;
  leaveOut(short, { ...preset.defaults, clip: defaults.clip, preset: defaults.preset });
  return short;
}

function leaveOut(request, defaults) {
  for (const [name, value] of Object.entries(defaults)) if (same(request[name], value)) delete request[name];
}

// Whether two values of JSON are equal, in whatever order their fields stand.
function same(one, other) {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return one === other;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => same(one[name], other[name]));
}

export async function runAgain(job) {
  return submitJob(await requestAgain(job.request), newKey());
}

export async function varySeed(job) {
  const { seed, ...request } = await requestAgain(job.request);
  return submitJob(request, newKey());
}

// Variations of one picture: some whose noise is near its own.
export async function varySlightly(job, image) {
  const { select, ...request } = await requestAgain(job.request);
  return submitJob({ ...request, seed: image.seed, num_images: VARIATIONS, variation: { strength: VARIATION_STRENGTH } }, newKey());
}

// Only the fields that a request may have, without empty ones and defaults.
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
  if (schema.$ref) {
    const shape = resolveSchema(schemas[schema.$ref.split("/").pop()], schemas);
    return schema.description ? { ...shape, description: schema.description } : shape; // the field's says more than its type's
  }
  const wanted = schema.anyOf?.filter(({ type }) => type !== "null");
  if (wanted?.length !== 1) return schema;
  const { anyOf, ...own } = schema;
  return { ...resolveSchema(wanted[0], schemas), ...own };
}
