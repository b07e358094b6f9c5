// What applies where a field is left out, and what follows from the fields as they are.

import { element, set } from "../parts/dom.js";

const HIRES_SCALE = 2; // of the API, if no side is given

// Show in the empty fields what the chosen model and preset fill in. The model; none before there are any.
export function showStandards(controls, switches, models) {
  const read = (path) => controls.get(path)?.read();
  const model = models.find(({ id }) => id === read("model")) ?? models[0];
  if (!model) return null;
  const preset = presetOf(controls, model);
  const guided = { clip: model.defaults.clip, prompt: "the prompt", ...preset?.defaults };
  const sampler = read("sampler") ?? model.defaults.sampler;
  const others = { model: models[0].id, "guidance.preset": model.defaults.preset, seed: "random", "variation.seed": "random", "edit.image_cfg_scale": model.defaults.image_cfg_scale, "hires.scale": HIRES_SCALE, "hires.steps": read("steps") ?? model.defaults.steps };
  const standard = (path) => {
    const [outer, inner] = path.split(".");
    if (path in others) return others[path];
    // The model's own schedule is that of its own sampler.
    if (path === "schedule" && read("sampler") !== undefined) return "default";
    return inner === undefined ? model.defaults[outer] : outer === "guidance" ? guided[inner] : undefined;
  };
  for (const [path, one] of controls) {
    const value = standard(path);
    if (value !== undefined && typeof value !== "object" && one.field?.isOptional) one.standard = value;
  }
  showSchedules(controls.get("schedule"), sampler, model);
  showSizes(controls, switches, model);
  showFamily(switches, model, models);
  return model;
}

// The preset that guidance has now.
export function presetOf(controls, model) {
  const wanted = controls.get("guidance.preset")?.read() ?? model.defaults.preset;
  return model.guidance_presets.find(({ id }) => id === wanted);
}

function showSchedules(control, sampler, { schedules }) {
  if (!control) return;
  const known = schedules[sampler] ?? null;
  control.allowed = known;
  control.note = known?.length === 1 ? `The sampler ${sampler} has this one alone.` : "";
}

// Hide what models of this family do not take, unless it is set.
function showFamily(switches, { family }, models) {
  const fits = { sizes: family.startsWith("sdxl"), refiner: family === "sdxl" && models.some((one) => one.family === "sdxl-refiner") };
  for (const [name, fit] of Object.entries(fits)) {
    const box = switches.get(name);
    const group = box?.closest(".group");
    if (group) set(group, "hidden", !fit && !box.checked);
  }
}

// The size of the first pass, and of the second. The shape of a picture to start from is the server's business.
function showSizes(controls, switches, { sizes, defaults }) {
  const bounds = `${sizes.min_px} to ${sizes.max_px}, in steps of ${sizes.multiple_px}`;
  for (const side of ["width", "height"]) if (controls.has(side)) controls.get(side).note = `This model: ${bounds}.`;
  if (controls.has("height")) showShapes(controls, sizes, defaults);
  const scale = controls.get("hires.scale");
  if (!scale) return;
  const hasPicture = ["edit", "init"].some((name) => switches.get(name).checked);
  const isKnown = !hasPicture || ["width", "height"].every((side) => controls.get(side).read() !== undefined);
  const first = ["width", "height"].map((side) => controls.get(side).read() ?? defaults[side]);
  const factor = scale.read() ?? HIRES_SCALE;
  const second = first.map((px) => sizes.multiple_px * Math.floor((px * factor) / sizes.multiple_px + 0.5));
  const sides = ["width", "height"].map((side) => controls.get(`hires.${side}`)?.read());
  const isTooLarge = Math.max(...second) > sizes.max_px;
  const words = `First ${first.join(" × ")}, then ${second.join(" × ")} pixels`;
  scale.note = isKnown && sides.every((px) => px === undefined) ? `${words}${isTooLarge ? `: more than the ${sizes.max_px} that this model can draw` : ""}.` : "";
}

const LONGER = 1.5; // the long side of a picture that is no square, against the model's usual one
const shapes = element("div", { className: "shapes", role: "group", ariaLabel: "Shape of the picture" });

// Buttons for the usual shapes, below the two sides; the one that the form has is pressed.
function showShapes(controls, { max_px: most, multiple_px: multiple }, { width, height }) {
  const long = (px) => Math.min(most, multiple * Math.round((px * LONGER) / multiple));
  const [wide, high] = [controls.get("width"), controls.get("height")];
  const offered = [["Square", undefined, undefined], ["Portrait", width, long(height)], ["Landscape", long(width), height]];
  const now = JSON.stringify([wide.read() ?? width, high.read() ?? height]);
  if (high.node.nextSibling !== shapes) high.node.after(shapes);
  const key = JSON.stringify([most, multiple, width, height]);
  if (shapes.dataset.key !== key) shapes.replaceChildren(...offered.map((shape) => shapeButton(shape, wide, high)));
  shapes.dataset.key = key;
  offered.forEach(([, x = width, y = height], index) => set(shapes.children[index], "ariaPressed", String(now === JSON.stringify([x, y]))));
}

function shapeButton([words, x, y], wide, high) {
  const button = element("button", { type: "button", textContent: words });
  button.addEventListener("click", () => {
    wide.write(x);
    high.write(y);
    button.dispatchEvent(new Event("input", { bubbles: true })); // the form hears that it has changed
  });
  return button;
}
