// Elements from data. Text goes in as text, never as markup.

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Set a property only if it changes: writing the same text again would make screen readers and layout work.
export function set(node, property, value) {
  if (node[property] !== value) node[property] = value;
}

// Make `parent` hold exactly `wanted`, in this order, moving as few as possible so that focus and scroll stay.
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
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
