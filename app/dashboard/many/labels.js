// Labels of jobs, as links to what has them.

import { element } from "../parts/dom.js";
import { pathsOf, setAddress } from "../sweeps/plan.js";

// A link to the grid of a sweep, or to the list of the jobs of another label.
export function labelLink(label) {
  const isSweep = pathsOf(label).length > 0;
  const made = element("a", { className: "label", href: isSweep ? setAddress(label) : listAddress(label), textContent: `#${label}` });
  if (!isSweep) made.addEventListener("click", (event) => openList(event, { label }));
  return made;
}

export const listAddressOf = (filters) => `?${new URLSearchParams(filters)}#/`;
export const listAddress = (label) => listAddressOf({ label });

// Show the list that these filters leave without loading the page anew.
export function openList(event, filters) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own is asked for
  event.preventDefault();
  const url = new URL(location.href);
  const view = url.searchParams.get("view");
  url.search = new URLSearchParams({ ...filters, ...(view && { view }) });
  url.hash = "#/";
  history.pushState(null, "", url);
  dispatchEvent(new PopStateEvent("popstate"));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
