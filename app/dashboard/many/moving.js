// From one job or picture to the next by single keys, wherever there is a list of them.

const STOPS = "#jobs > li .prompt-text a, .job-table .col-prompt a, .gallery li > a, .candidates li a, .results > figure > a, .sweep-grid a.cell, .flow a.cell, .nights li > a";
const ITEMS = "tr, td, li, figure";

// Give the focus to one; without any, to the heading.
export function enter(one) {
  (one?.querySelector(STOPS) ?? document.querySelector("#page h2") ?? document.getElementById("jobs-title")).focus({ preventScroll: !one });
}

// Give the focus to the next one (1) or to the one before (-1); to the first or the last, where none has it.
export function move(by) {
  const stops = [...document.querySelectorAll(STOPS)].filter((one) => one.checkVisibility());
  const at = stops.findIndex((one) => one.closest(ITEMS).contains(document.activeElement));
  const next = stops[at < 0 ? (by > 0 ? 0 : stops.length - 1) : at + by];
  next?.focus();
  next?.closest(ITEMS).scrollIntoView({ block: "nearest" });
}
