// Elements from data. Text goes in as text, never as markup.

import { enter } from "../many/moving.js";

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Set a property only if it changes: writing the same text again would make screen readers and layout work.
export function set(node, property, value) {
  if (node[property] !== value) node[property] = value;
}

// Make `parent` hold exactly `wanted`, in this order, moving as few as possible so that focus and scroll stay. One that
// goes leaves the focus to the next.
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  const before = [...parent.children];
  const left = before.findIndex((child) => !keep.has(child) && child.contains(document.activeElement));
  for (const child of before) if (!keep.has(child)) child.remove();
  wanted.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  const stays = (child) => keep.has(child);
  if (left >= 0) enter(before.slice(left).find(stays) ?? before.findLast(stays));
}

// Act, once at a time. A disabled button would lose the focus.
export async function once(button, act) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  try {
    await act();
  } finally {
    button.ariaDisabled = "false";
  }
}

// A text whose names in backticks are code, as nodes.
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", { textContent: part }) : part)).filter((part) => part !== "");
}

// Names and what they mean, as a description list.
export function list(pairs) {
  const rows = pairs.map(([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", {}, ...[value].flat())));
  return element("dl", { className: "list" }, ...rows);
}
