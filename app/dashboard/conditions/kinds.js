// The lists that name something of the catalog: adapters, and ControlNets and image prompts with their pictures.

import { fieldsOf } from "../form/schema.js";
import { typeInto } from "../form/typing.js";
import { element } from "../parts/dom.js";
import { resolveSchema } from "../server/actions.js";
import { MapPreview } from "./map_preview.js";
import { PictureInput } from "./picture_input.js";

// By the path of the request's field: what there is to choose from, and how its entries look.
//   key: the field that names one; first: the fields in sight; standards: what holds where a field is left out;
//   extras and after: what stands before its fields, and after those in sight.
// `sizeNow()` is the size of the picture that the form would make.
export function kindsOf({ adapters, controls, preprocessors, imagePrompts }, schemas, sizeNow) {
  const ofMap = new Set(Object.keys(schemas.MapRequest.properties));
  const pictured = (field) => (field.name === "image" ? new PictureInput(field) : null);
  const fields = (name) => (path) => fieldsOf(resolveSchema(schemas.GenerateRequest.properties[name].items, schemas), schemas, path);
  return {
    adapters: {
      title: "Adapters (LoRA)",
      one: "an adapter",
      none: "This server has no adapters",
      cards: adapters,
      key: "name",
      first: ["weight"],
      fields: fields("adapters"),
      standards: ({ weight }) => (weight === undefined ? {} : { weight }),
      extras: ({ triggers }) => (triggers.length ? [triggerChips(triggers)] : []),
    },
    controls: {
      title: "Controls (ControlNet)",
      one: "a control",
      none: "This server has no ControlNets",
      cards: controls,
      key: "model",
      first: ["image", "preprocess", "weight"],
      fields: (path) => fields("controls")(path).map((field) => (field.name === "preprocess" ? { ...field, kind: "choice", options: preprocessors } : field)),
      standards: ({ preprocess }) => (preprocess === undefined ? {} : { preprocess }),
      after: (entry) => {
        const fields = () => Object.fromEntries(Object.entries(entry.read()).filter(([name]) => ofMap.has(name)));
        return [new MapPreview(() => ({ ...fields(), ...sizeNow() })).node];
      },
      controlOf: pictured,
    },
    image_prompts: {
      title: "Image prompts (IP-Adapter)",
      one: "a picture",
      none: "This server has no adapters for image prompts",
      cards: imagePrompts,
      key: "adapter",
      first: ["image", "weight"],
      fields: fields("image_prompts"),
      standards: ({ weight }) => (weight === undefined ? {} : { weight }),
      controlOf: pictured,
    },
  };
}

// The words that an adapter was trained with, to be put into the prompt.
function triggerChips(triggers) {
  const prompt = document.getElementById("prompt");
  const chips = triggers.map((word) => {
    const chip = element("button", { type: "button", className: "chip", textContent: word, ariaLabel: `Put ${word} into the prompt` });
    chip.addEventListener("click", () => {
      const end = prompt.value.trimEnd().length;
      typeInto(prompt, end ? `, ${word}` : word, end, prompt.value.length);
    });
    return chip;
  });
  return element("div", { className: "chips", role: "group", ariaLabel: "Trigger words" }, ...chips);
}
