// What stands in the place of a list without jobs.

import { element } from "./dom.js";

export function emptyState(status) {
  if (status) return [element("strong", { textContent: `No ${status} jobs` }), "Other jobs may be under All."];
  const body = JSON.stringify({ prompt: "a red apple on a light blue background", guidance: {} });
  const command = `curl ${location.origin}/v1/jobs -H 'Content-Type: application/json' -d '${body}'`;
  const copy = element("button", { type: "button", textContent: "Copy" });
  copy.addEventListener("click", async () => {
    copy.textContent = (await copied(command)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  });
  const code = element("pre", { tabIndex: 0, textContent: command });
  return [
    element("strong", { textContent: "No jobs yet" }),
    "Describe a picture above, or ask for one from a terminal:",
    element("div", { className: "curl" }, code, copy),
  ];
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
