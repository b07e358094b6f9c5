// Text to copy, with a button that does it.

import { element } from "./dom.js";

export function copyBox(text, label) {
  const button = copyButton(() => text, "Copy");
  button.ariaLabel = `Copy ${label}`;
  return element("div", { className: "code" }, element("pre", { tabIndex: 0, textContent: text, ariaLabel: label, role: "region" }), button);
}

export function copyButton(text, words) {
  const button = element("button", { type: "button", textContent: words });
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text())) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = words), 2000);
  });
  return button;
}

async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  // Over plain http there is no clipboard object; the old command still works.
  const area = element("textarea", { value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
