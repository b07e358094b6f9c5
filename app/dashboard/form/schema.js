// The fields of a request, from the API's own schema: what kind of value each takes, its bounds, default and meaning.

import { resolveSchema } from "../server/actions.js";

// Better names than those of the fields, by their paths.
const LABELS = {
  num_images: "Number of pictures",
  sizes: "Sizes that the model is told",
  hires: "Draw twice, the second time larger",
  variation: "Variations of the seed",
  upscale: "Enlarge the finished pictures",
  select: "Best of n",
  "select.candidates": "Pictures to make",
  "select.keep": "Pictures to keep",
  "select.by": "Rank by",
  "guidance.prompt": "Guidance text",
  "hires.steps": "Steps of the second pass",
};
const WORDS = { num: "number of", cfg: "CFG", clip: "CLIP", id: "ID", url: "URL", lr: "LR", tv: "TV" };

// The fields of an object of the schema, in its order. `path` is the dotted name of the object.
export function fieldsOf(schema, schemas, path = "") {
  const { properties, required = [] } = resolveSchema(schema, schemas);
  return Object.entries(properties).map(([name, property]) => {
    const shape = resolveSchema(property, schemas);
    const isRequired = required.includes(name);
    const isOptional = !isRequired && (shape.default === undefined || shape.default === null);
    const kind = kindOf(shape, schemas, isOptional);
    return {
      name,
      kind,
      path: path + name,
      label: LABELS[path + name] ?? labelOf(name, kind),
      description: shape.description ?? "",
      // A field without a default may be left out, which no value of it expresses: it gets a choice of its own.
      isOptional,
      isRequired,
      default: shape.default,
      minimum: shape.minimum ?? shape.exclusiveMinimum,
      maximum: shape.maximum ?? shape.exclusiveMaximum,
      excludes0: shape.exclusiveMinimum === 0 || shape.minimum > 0,
      maxLength: shape.maxLength,
      options: optionsOf(kind === "choices" ? resolveSchema(shape.items, schemas) : shape),
      example: shape.examples?.[0],
      fields: kind === "group" ? fieldsOf(shape, schemas, `${path}${name}.`) : [],
    };
  });
}

function kindOf(shape, schemas, isOptional) {
  if (shape.enum || "const" in shape) return "choice";
  if (shape.type === "object" && shape.properties) return "group";
  if (shape.type === "array") return kindOfList(resolveSchema(shape.items ?? {}, schemas));
  if (shape.type === "string") return shape.maxLength >= 500 ? "text" : "line";
  if (shape.type === "number" && shape.maximum === 1 && !isOptional) return "share";
  if (["integer", "number", "boolean"].includes(shape.type)) return shape.type;
  return "any";
}

const kindOfList = (item) => (item.enum ? "choices" : item.type === "string" ? "words" : "json");
const optionsOf = (shape) => shape.enum ?? ("const" in shape ? [shape.const] : []);

function labelOf(name, kind) {
  const unit = kind === "boolean" ? "" : name.endsWith("_s") ? " (seconds)" : name.endsWith("_steps") ? " (steps)" : "";
  const words = (unit ? name.replace(/_(s|steps)$/, "") : name).split("_").map((word) => WORDS[word] ?? word).join(" ");
  return words[0].toUpperCase() + words.slice(1) + unit;
}
