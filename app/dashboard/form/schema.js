// The fields of a request, from the API's own schema: what kind of value each takes, its bounds, default and meaning.

import { resolveSchema } from "../server/actions.js";

const WORDS = { num: "number of", cfg: "CFG", clip: "CLIP", id: "ID", url: "URL", lr: "LR", tv: "TV" };

// The fields of an object of the schema, in its order. `path` is the dotted name of the object.
export function fieldsOf(schema, schemas, path = "") {
  const { properties, required = [] } = resolveSchema(schema, schemas);
  return Object.entries(properties).map(([name, property]) => {
    const shape = resolveSchema(property, schemas);
    const kind = kindOf(shape, schemas);
    return {
      name,
      kind,
      path: path + name,
      label: labelOf(name),
      description: shape.description ?? "",
      required: required.includes(name),
      // A field without a default may be left out, which no value of it expresses: it gets a choice of its own.
      isOptional: shape.default === undefined || shape.default === null,
      default: shape.default,
      minimum: shape.minimum ?? shape.exclusiveMinimum,
      maximum: shape.maximum ?? shape.exclusiveMaximum,
      maxLength: shape.maxLength,
      options: optionsOf(kind === "choices" ? resolveSchema(shape.items, schemas) : shape),
      example: shape.examples?.[0],
      fields: kind === "group" ? fieldsOf(shape, schemas, `${path}${name}.`) : [],
    };
  });
}

function kindOf(shape, schemas) {
  if (shape.enum || "const" in shape) return "choice";
  if (shape.type === "object" && shape.properties) return "group";
  if (shape.type === "array") return resolveSchema(shape.items ?? {}, schemas).enum ? "choices" : "json";
  if (shape.type === "string") return shape.maxLength >= 500 ? "text" : "line";
  if (["integer", "number", "boolean"].includes(shape.type)) return shape.type;
  return "any";
}

const optionsOf = (shape) => shape.enum ?? ("const" in shape ? [shape.const] : []);

function labelOf(name) {
  const unit = name.endsWith("_s") ? " (seconds)" : name.endsWith("_steps") ? " (steps)" : "";
  const words = name.replace(/_(s|steps)$/, "").split("_").map((word) => WORDS[word] ?? word).join(" ");
  return words[0].toUpperCase() + words.slice(1) + unit;
}
