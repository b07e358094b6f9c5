// What applies where a field is left out, and what follows from the fields as they are.

const HIRES_SCALE = 2; // of the API, if no side is given

// Show in the empty fields what the chosen model and preset fill in. The model; none before there are any.
export function showStandards(controls, switches, models) {
  const read = (path) => controls.get(path)?.read();
  const model = models.find(({ id }) => id === read("model")) ?? models[0];
  if (!model) return null;
  const preset = presetOf(controls, model);
  const guided = { clip: model.defaults.clip, prompt: "the prompt", ...preset?.defaults };
  const sampler = read("sampler") ?? model.defaults.sampler;
  const others = { model: models[0].id, "guidance.preset": model.defaults.preset, seed: "random", "variation.seed": "random", "hires.scale": HIRES_SCALE, "hires.steps": read("steps") ?? model.defaults.steps };
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

// The size of the first pass, and of the second. The shape of a picture to start from is the server's business.
function showSizes(controls, switches, { sizes, defaults }) {
  const bounds = `${sizes.min_px} to ${sizes.max_px}, in steps of ${sizes.multiple_px}`;
  for (const side of ["width", "height"]) if (controls.has(side)) controls.get(side).note = `This model: ${bounds}.`;
  const scale = controls.get("hires.scale");
  if (!scale) return;
  const isKnown = !switches.get("init").checked || ["width", "height"].every((side) => controls.get(side).read() !== undefined);
  const first = ["width", "height"].map((side) => controls.get(side).read() ?? defaults[side]);
  const factor = scale.read() ?? HIRES_SCALE;
  const second = first.map((px) => sizes.multiple_px * Math.floor((px * factor) / sizes.multiple_px + 0.5));
  const sides = ["width", "height"].map((side) => controls.get(`hires.${side}`)?.read());
  const isTooLarge = Math.max(...second) > sizes.max_px;
  const words = `First ${first.join(" × ")}, then ${second.join(" × ")} pixels`;
  scale.note = isKnown && sides.every((px) => px === undefined) ? `${words}${isTooLarge ? `: more than the ${sizes.max_px} that this model can draw` : ""}.` : "";
}
