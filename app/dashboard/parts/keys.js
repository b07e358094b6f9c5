// Single keys for those who leave the mouse alone, and the list of them under "?".

import { move } from "../many/moving.js";
import { element } from "./dom.js";

const find = (id) => document.getElementById(id);

const KEYS = [
  ["n", "New job", () => go("#/", () => find("prompt").focus())],
  ["h", "Jobs", () => go("#/")],
  ["/", "Find jobs", () => go("#/", () => document.querySelector(".narrow input").focus())],
  ["g", "Gallery", () => go("#/gallery")],
  ["o", "Overview", () => go("#/overview")],
  ["w", "Workers", () => go("#/workers")],
  ["j", "Next job or picture", () => move(1)],
  ["k", "The one before", () => move(-1)],
  ["?", "This list", () => find("keys").showModal()],
];

const OFF = "lodestar-keys-off";

// Whether single keys do nothing: they may collide with those of a screen reader, or with speech.
export const areOff = () => {
  try {
    return localStorage.getItem(OFF) === "yes";
  } catch {
    return false; // of a browser that keeps nothing
  }
};

function offSwitch() {
  const box = element("input", { type: "checkbox", id: "keys-on", checked: !areOff() });
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(OFF, box.checked ? "no" : "yes");
    } catch {
      box.checked = true;
    }
  });
  return element("label", { className: "switch" }, box, "Single keys work");
}

export function watchKeys() {
  const rows = [...KEYS, ["Enter", "Open it"], ["x", "Select a picture or a line"], ["a", "Select all lines"], ["c", "Cancel the job, or all that are selected"], ["Ctrl+Enter", "Submit the form"], ["d, s, c, o, p", "Of an enlarged picture: download, copy its seed, compare, open its job, smooth its pixels"]].map(([key, words]) =>
    element("div", {}, element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: words })));
  find("keys").append(element("dl", { className: "list" }, ...rows), offSwitch());
  find("keys-open").addEventListener("click", () => find("keys").showModal());
  find("keys-close").addEventListener("click", () => find("keys").close());
  addEventListener("keydown", (event) => {
    // A dialog that was closed keeps the focus until the next frame.
    const isTyping = event.target.closest?.("input:not([type=checkbox], [type=range]), textarea, select, dialog[open]");
    if (areOff() || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const found = KEYS.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
}

// Show a page, then do something there.
export function go(hash, then = () => {}) {
  if ((location.hash || "#/") === hash) return then();
  addEventListener("hashchange", () => setTimeout(then), { once: true });
  location.hash = hash;
}
