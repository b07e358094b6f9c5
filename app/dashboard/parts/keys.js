// Single keys for those who leave the mouse alone, and the list of them under "?".

import { element } from "./dom.js";

const find = (id) => document.getElementById(id);

const KEYS = [
  ["n", "New job", () => go("#/", () => find("prompt").focus())],
  ["j", "Jobs", () => go("#/")],
  ["g", "Gallery", () => go("#/gallery")],
  ["o", "Overview", () => go("#/overview")],
  ["w", "Workers", () => go("#/workers")],
  ["?", "This list", () => find("keys").showModal()],
];

export function watchKeys() {
  const rows = [...KEYS, ["Ctrl+Enter", "Submit the form"]].map(([key, words]) =>
    element("div", {}, element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: words })));
  find("keys").append(element("dl", { className: "list" }, ...rows));
  find("keys-close").addEventListener("click", () => find("keys").close());
  addEventListener("keydown", (event) => {
    // A dialog that was closed keeps the focus until the next frame.
    const isTyping = event.target.closest?.("input:not([type=checkbox], [type=range]), textarea, select, dialog[open]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
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
