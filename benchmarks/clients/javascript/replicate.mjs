// replicate, Replicate's client for JavaScript.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Replicate from 'replicate';
import { KEY, PROMPT, SERVICE, call, refused, size } from './calls.mjs';

const MODEL = 'lodestar/pocket';
const replicate = new Replicate({ auth: KEY, baseUrl: `${SERVICE}/v1` });
const few = { prompt: PROMPT, num_inference_steps: 3 };
const file = () => new Blob([readFileSync('table.png')], { type: 'image/png' });

await call('run', async () => {
  const output = await replicate.run(MODEL, { input: { ...few, num_outputs: 2 } });
  assert.equal(output.length, 2);
  for (const picture of output) {
    assert.ok(picture.url());
    assert.deepEqual(size(await (await picture.blob()).arrayBuffer()), [64, 64]);
  }
});

await call('run with wait poll, and with progress', async () => {
  const seen = [];
  await replicate.run(MODEL, { input: few, wait: { mode: 'poll', interval: 50 } }, (prediction) => seen.push(prediction.status));
  assert.equal(seen.at(-1), 'succeeded');
});

await call('run with a file as input', async () => {
  const output = await replicate.run(MODEL, { input: { ...few, image: file(), prompt_strength: 0.7 } });
  assert.equal(output.length, 1);
});

await refused('stream, which sends no token', 'replicate.md#keys', 'this needs a key', async () => {
  for await (const event of replicate.stream(MODEL, { input: few })) assert.ok(event.event);
});

await call('predictions.create, get, list with paginate', async () => {
  const prediction = await replicate.predictions.create({ model: MODEL, input: few });
  const ended = await replicate.wait(prediction, { interval: 50 });
  assert.equal(ended.status, 'succeeded');
  assert.equal((await replicate.predictions.get(prediction.id)).id, prediction.id);
  const ids = [];
  for await (const page of replicate.paginate(replicate.predictions.list)) ids.push(...page.map((each) => each.id));
  assert.ok(ids.includes(prediction.id));
});

await call('predictions.cancel', async () => {
  const prediction = await replicate.predictions.create({ model: MODEL, input: { prompt: PROMPT, steps: 250 } });
  await replicate.predictions.cancel(prediction.id);
  assert.equal((await replicate.wait(prediction, { interval: 50 })).status, 'canceled');
});

await call('files.create, get, list, delete', async () => {
  const kept = await replicate.files.create(file());
  assert.equal((await replicate.files.get(kept.id)).id, kept.id);
  assert.ok((await replicate.files.list()).results.some((each) => each.id === kept.id));
  await replicate.files.delete(kept.id);
});

await call('models.list, search, get, versions.list; deployments.get', async () => {
  assert.ok((await replicate.models.list()).results.some((model) => model.name === 'pocket'));
  assert.ok((await replicate.models.search('pocket')).results.length);
  assert.equal((await replicate.models.get('lodestar', 'pocket')).name, 'pocket');
  const versions = await replicate.models.versions.list('lodestar', 'pocket');
  assert.equal((versions.results ?? versions).length, 1);
  assert.equal((await replicate.deployments.get('lodestar', 'pocket')).name, 'pocket');
});

await call('errors: ApiError with 422 and 401', async () => {
  const attempt = (client, input) => client.predictions.create({ model: MODEL, input });
  await assert.rejects(attempt(replicate, { prompt: PROMPT, steps: 0 }), (error) => error.response.status === 422);
  const stranger = new Replicate({ auth: 'r8_stranger', baseUrl: `${SERVICE}/v1` });
  await assert.rejects(attempt(stranger, few), (error) => error.response.status === 401);
});

await refused('trainings.list', 'replicate.md', 'nothing is at /v1/trainings', () => replicate.trainings.list());
await refused('accounts.current', 'replicate.md', 'nothing is at /v1/account', () => replicate.accounts.current());
