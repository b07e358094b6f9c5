// The line in the head of the page: workers, what waits, when the queue will be empty, and how full it is.

import { set } from "../parts/dom.js";
import { count, duration } from "../parts/words.js";

const FULL_FROM = 0.8;

export function showLine(line, { jobs, workers, late_workers: late = 0, draining_workers: draining = 0, max_queued: most, eta_s: eta }) {
  const share = jobs.queued / most;
  set(line, "hidden", false);
  set(line, "className", `workers ${workers ? "some" : "none"}${share >= FULL_FROM || late || draining ? " full" : ""}`);
  const parts = [workers ? count(workers, "worker") : "no worker"];
  if (late) parts.push(`${late === workers ? "no" : `${late} without a`} heartbeat for 10 s`);
  if (draining) parts.push(`${draining === workers ? "" : `${draining} `}draining`);
  if (workers) parts.push(jobs.running ? `${jobs.running} running` : "idle");
  if (jobs.queued) parts.push(`${jobs.queued} waiting`);
  if (jobs.queued && workers > late && eta !== null) parts.push(`done in about ${duration(Math.ceil(eta))}`);
  if (share >= 0.01) parts.push(`queue ${Math.round(100 * share)} % full`);
  set(line, "textContent", parts.join(" · "));
}
