// A night in words.

import { serverNow } from "../server/api.js";
import { short } from "../parts/trace.js";
import { count, duration } from "../parts/words.js";

export const isOpen = ({ status }) => ["running", "finishing"].includes(status);

// What is left of its time, or how it ended.
export function stateOf(night) {
  if (night.status === "running") return `running, ${duration(Math.max(0, Math.round((Date.parse(night.ends_at) - serverNow()) / 1000)))} left`;
  if (night.status === "finishing") return night.upscale ? `finishing, ${night.enlarged} of ${night.num_kept} enlarged` : "finishing";
  return night.status;
}

// What was made, and what is kept of it.
export function soFar(night) {
  const parts = [`${count(night.made, "picture")} made`];
  if (night.failed) parts.push(`${night.failed} failed`);
  const best = night.kept[0];
  parts.push(`${night.num_kept} kept of ${typeof night.keep === "number" ? `at most ${night.keep}` : `the best ${night.keep.replace("%", " %")}`}${best ? `, best ${night.by === "clip" ? "CLIP" : "aesthetic"} score ${short(best.score)}` : ""}`);
  return parts.join(" · ");
}

// A picture as the parts of other pages take one: of a job.
export const asJob = (night, { job_id: id, url, seed, width, height, score }) => ({
  id,
  request: night.request,
  images: [{ index: 0, url, seed, width, height, [`${night.by}_score`]: score }],
});
