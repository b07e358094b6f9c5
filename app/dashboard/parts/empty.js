// The placeholder of a list without jobs.

import { address } from "../server/api.js";
import { copyBox } from "./copy.js";
import { element } from "./dom.js";

export function emptyState(status, label = null, isNarrowed = false, lookedTo = null) {
  if (isNarrowed) return [element("strong", { textContent: `No such ${status ? `${status} ` : ""}job` }), lookedTo ? `None since ${new Date(lookedTo).toLocaleString()}; there are older ones.` : "Clear a filter to see others."];
  if (label) return [element("strong", { textContent: `No ${status ? `${status} ` : ""}jobs with the label ${label}` }), "Other jobs have other labels, or none."];
  if (status) return [element("strong", { textContent: `No ${status} jobs` }), "Other jobs may be under All."];
  const body = JSON.stringify({ prompt: "a red apple on a light blue background", guidance: {} });
  const command = `curl ${address}/v1/jobs -H 'Content-Type: application/json' -d '${body}'`;
  return [
    element("strong", { textContent: "No jobs yet" }),
    "Describe a picture in the form, or ask for one from a terminal:",
    copyBox(command, "the curl command"),
  ];
}
