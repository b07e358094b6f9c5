// A sweep as data: its label, which says what was swept, and the grid that its jobs make.

import { newKey } from "../server/api.js";

// `sweep-ID:FIELD` or `sweep-ID:FIELD,FIELD`: any list of labels tells what belongs together, and how to lay it out.
const LABEL = /^sweep-[0-9a-f]+:([a-z0-9_.]+)(?:,([a-z0-9_.]+))?$/;
const MOST_AXES = 2;
export const UNGUIDED = "unguided"; // in place of a preset

export const newLabel = (paths) => `sweep-${newKey().slice(0, 8)}:${paths.join(",")}`;

// The fields that a label says were swept; none for any other label.
export const pathsOf = (label) => label.match(LABEL)?.slice(1).filter(Boolean) ?? [];

export const setAddress = (label) => `#/sets/${encodeURIComponent(label)}`;

// A request with other values: `changes` are pairs of a field's path and its value.
export function changed(request, changes) {
  const made = structuredClone(request);
  for (const [path, value] of changes.filter(([, value]) => value !== UNGUIDED)) {
    const [outer, inner] = path.split(".");
    if (inner === undefined) made[outer] = value;
    else made[outer] = { ...made[outer], [inner]: value };
  }
  if (changes.some(([, value]) => value === UNGUIDED)) delete made.guidance;
  return made;
}

// The value that a job had for a field.
export function valueOf({ request }, path) {
  const resolved = path === "select.candidates" ? "num_images" : path;
  const value = resolved.split(".").reduce((part, name) => part?.[name], request);
  return value ?? (path.startsWith("guidance.") ? UNGUIDED : "none");
}

// What is told of a value where there is little room.
export const shown = (value) => (value === true ? "yes" : value === false ? "no" : typeof value === "object" ? JSON.stringify(value) : String(value));

// Lay jobs out, oldest first: `{ paths, columns, rows, cellAt(row, column) }`; null if no two fields tell them apart.
export function gridOf(jobs, label) {
  const told = pathsOf(label);
  const paths = told.length ? told : differing(jobs);
  if (paths.length === 0 || paths.length > MOST_AXES) return null;
  const axes = paths.map((path) => axisOf(jobs, path));
  const place = (job) => paths.map((path, index) => placeOn(axes[index], shown(valueOf(job, path)))).join("\n");
  const cells = new Map(jobs.map((job) => [place(job), job])); // of two at one place, the newer: it was run again
  const [columns, rows = [null]] = axes;
  if (!told.length && (cells.size < jobs.length || cells.size < columns.length * rows.length)) return null;
  return { paths, columns, rows, cellAt: (row, column) => cells.get(row === null ? column : `${column}\n${row}`) ?? null };
}

// The values that jobs had for a field. A job without guidance has none of a field of guidance: it stands at the first.
function axisOf(jobs, path) {
  const values = [...new Set(jobs.map((job) => shown(valueOf(job, path))))];
  const guided = values.filter((value) => value !== UNGUIDED);
  return path === "guidance.preset" || guided.length === 0 ? values : guided;
}

const placeOn = (axis, value) => (axis.includes(value) ? value : axis[0]);

// The paths of the fields in which jobs differ.
export function differing(jobs) {
  const flat = (value, path = "") =>
    Object.entries(value).filter(([, part]) => part !== null && part !== undefined).flatMap(([name, part]) =>
      typeof part === "object" && !Array.isArray(part) ? flat(part, `${path}${name}.`) : [path + name]);
  const paths = new Set(jobs.flatMap(({ request }) => flat({ ...request, labels: undefined })));
  return [...paths].filter((path) => new Set(jobs.map((job) => JSON.stringify(valueOf(job, path)))).size > 1);
}
