// A request as code that makes it.

import { address, asksForKeys } from "../server/api.js";

const KEY = 'os.environ["LODESTAR_KEY"]';

export function asCurl(request, server = address, keyed = asksForKeys()) {
  const key = keyed ? ` -H "Authorization: Bearer $LODESTAR_KEY"` : "";
  return `curl -s ${server}/v1/jobs${key} -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(request))}`;
}

export function asPython(request, server = address, keyed = asksForKeys()) {
  const headers = keyed ? `, headers={"Authorization": "Bearer " + ${KEY}}` : "";
  return `${keyed ? "import os\n" : ""}import time

import httpx

request = ${python(request)}
with httpx.Client(base_url=${python(server)}, timeout=30${headers}) as client:
    job = client.post("/v1/jobs", json=request).raise_for_status().json()
    while job["status"] in {"queued", "running"}:
        time.sleep(0.5)
        job = client.get(f"/v1/jobs/{job['id']}").raise_for_status().json()
    for image in job["images"]:
        with open(f"picture-{image['index']}.png", "wb") as file:
            file.write(client.get(f"/v1/jobs/{job['id']}/images/{image['index']}.png").raise_for_status().content)
print(job["status"], job["error"] or "")
`;
}

export function asOpenAi(request, server = address, keyed = asksForKeys()) {
  const { prompt, model, width, height, num_images = 1, ...others } = request;
  const named = { model: model ?? null, prompt, n: num_images, size: width && height ? `${width}x${height}` : null, response_format: "b64_json" };
  const lines = Object.entries(named).filter(([, value]) => value !== null).map(([name, value]) => `    ${name}=${python(value)},\n`);
  if (Object.keys(others).length) lines.push(`    extra_body=${python(others, 1)},\n`);
  return `import base64
${keyed ? "import os\n" : ""}
from openai import OpenAI

client = OpenAI(base_url=${python(`${server}/v1`)}, api_key=${keyed ? KEY : '"none"'})
answer = client.images.generate(
${lines.join("")})
for number, image in enumerate(answer.data):
    with open(f"picture-{number}.png", "wb") as file:
        file.write(base64.b64decode(image.b64_json))
`;
}

// One word for a POSIX shell, whatever is in it.
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// A literal of Python.
function python(value, depth = 0) {
  const indent = "    ".repeat(depth + 1);
  const closing = "    ".repeat(depth);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  // A string or a number of JSON is one of Python too.
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((part) => python(part, depth)).join(", ")}]`;
  const entries = Object.entries(value);
  if (entries.length === 0) return "{}";
  return `{\n${entries.map(([name, part]) => `${indent}${JSON.stringify(name)}: ${python(part, depth + 1)},\n`).join("")}${closing}}`;
}
