// Draw a picture, follow its progress, save it: node examples/generate.mjs "noto red apple" apple.png
// Needs Node 20 or newer and no package. LODESTAR_URL names the service, LODESTAR_KEY is the key if it asks for one.
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";

const [prompt, file = "picture.png"] = process.argv.slice(2);
const service = process.env.LODESTAR_URL ?? "http://127.0.0.1:8000";
const ENDED = ["succeeded", "failed", "canceled"];
const key = process.env.LODESTAR_KEY ? { Authorization: `Bearer ${process.env.LODESTAR_KEY}` } : {};

async function call(path, options = {}) {
  const answer = await fetch(service + path, { ...options, headers: { ...key, ...options.headers } });
  if (answer.ok) return answer;
  const problem = await answer.json();
  throw new Error(`${problem.detail} (${problem.type})`);
}

// Server-sent events: lines of "name: value", an empty line after each event.
async function* eventsOf(answer) {
  let rest = "";
  const text = new TextDecoder();
  for await (const bytes of answer.body) {
    const parts = (rest + text.decode(bytes, { stream: true })).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.data) yield { id: fields.id, type: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

async function finished(id) {
  let last = "";
  for (let tries = 0; tries < 30; tries++) {
    try {
      for await (const event of eventsOf(await call(`/v1/jobs/${id}/events`, { headers: { "Last-Event-ID": last } }))) {
        [last, tries] = [event.id, 0];
        if (event.type === "progress") console.error(`step ${event.data.step} of ${event.data.steps}`);
        if (event.type === "done" || (event.type === "snapshot" && ENDED.includes(event.data.job.status))) return event.data.job;
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch's word for a broken connection: take the stream up again
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
  throw new Error(`the service is away; the job goes on: ${service}/#/jobs/${id}`);
}

if (!prompt) throw new Error('usage: node examples/generate.mjs PROMPT [FILE]');
const submitted = await call("/v1/jobs", {
  method: "POST",
  // The key makes a repeated call give the same job.
  headers: { "Content-Type": "application/json", "Idempotency-Key": randomUUID() },
  body: JSON.stringify({ prompt, guidance: true }),
});
const job = await finished((await submitted.json()).id);
if (job.status !== "succeeded") throw new Error(`${job.status}: ${job.error?.message ?? ""}`);
const picture = await call(job.images[0].url);
await writeFile(file, Buffer.from(await picture.arrayBuffer()));
console.log(`${file}: seed ${job.images[0].seed}, job ${job.id}`);
