// Labels of jobs, as links to what has them.

import { element } from "../parts/dom.js";
import { pathsOf, setAddress } from "../sweeps/plan.js";

// A link to the grid of a sweep, or to the list of the jobs of another label.
export function labelLink(label) {
  const isSweep = pathsOf(label).length > 0;
  const made = element("a", { className: "label", href: isSweep ? setAddress(label) : listAddress(label), textContent: `#${label}` });
  if (!isSweep) made.addEventListener("click", (event) => openList(event, label));
  return made;
}

export const listAddress = (label) => `?${new URLSearchParams({ label })}#/`;

// Show the list of a label without loading the page anew.
export function openList(event, label) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own is asked for
  event.preventDefault();
  const url = new URL(location.href);
  url.search = new URLSearchParams({ label });
  url.hash = "#/";
  history.pushState(null, "", url);
  dispatchEvent(new PopStateEvent("popstate"));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
