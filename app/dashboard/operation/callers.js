// Whose jobs took the most work within the last hour.

import { listAddressOf } from "../many/labels.js";
import { element } from "../parts/dom.js";
import { duration } from "../parts/words.js";

const NOTE = "A caller is named by a digest. The seconds are those that workers held its jobs for; jobs share a worker.";

// The table of them, as the children of a card.
export function callersOf({ callers = [] }) {
  if (callers.length === 0) return [element("p", { className: "dim", textContent: "No job ended." })];
  const total = callers.reduce((sum, { work_s: work }) => sum + work, 0);
  const head = ["Caller", "Jobs", "Work", "Share"].map((textContent) => element("th", { scope: "col", textContent }));
  const rows = callers.map(({ caller, jobs, work_s: work }) => {
    const share = total ? work / total : 0;
    const link = element("a", { href: listAddressOf({ caller }), textContent: caller === "anonymous" ? "anyone" : caller });
    const bar = element("meter", { min: 0, max: 1, value: share, ariaLabel: `Share of ${caller}` });
    return element("tr", {}, element("th", { scope: "row" }, link), ...[String(jobs), duration(work)].map((textContent) => element("td", { textContent })), element("td", {}, bar, ` ${Math.round(100 * share)} %`));
  });
  return [element("table", { className: "callers" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)), element("p", { className: "dim", textContent: NOTE })];
}
