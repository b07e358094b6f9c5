// openai, the official client for JavaScript.
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import OpenAI, { toFile } from 'openai';
import { KEY, PROMPT, SERVICE, call, kind, refused, size } from './calls.mjs';

const client = new OpenAI({ baseURL: `${SERVICE}/v1`, apiKey: KEY, maxRetries: 0 });
const small = { prompt: PROMPT, size: '64x64', steps: 3 };

await call('images.generate', async () => {
  const answer = await client.images.generate({ ...small, n: 2 });
  assert.deepEqual(answer.data.map((picture) => size(picture.b64_json)), [[64, 64], [64, 64]]);
});

await call('images.generate with every option of OpenAI\'s', async () => {
  const dalle = await client.images.generate({
    ...small, model: 'dall-e-3', style: 'vivid', quality: 'hd', response_format: 'url', user: 'me',
  });
  assert.ok(dalle.data[0].url);
  const gpt = await client.images.generate({
    ...small, model: 'gpt-image-1', background: 'transparent', moderation: 'low', output_format: 'webp', quality: 'auto',
  });
  assert.equal(kind(gpt.data[0].b64_json), 'webp');
});

await call('images.generate with stream', async () => {
  const types = [];
  for await (const event of await client.images.generate({ ...small, steps: 20, stream: true, partial_images: 2 })) {
    types.push(event.type);
  }
  assert.equal(types.at(-1), 'image_generation.completed');
});

await call('images.edit with a mask', async () => {
  const answer = await client.images.edit({
    image: createReadStream('table.png'), mask: createReadStream('mask.png'), prompt: PROMPT, steps: 3,
  });
  assert.deepEqual(size(answer.data[0].b64_json), [64, 64]);
});

await call('images.edit with stream', async () => {
  const image = await toFile(createReadStream('table.png'), 'table.png', { type: 'image/png' });
  const types = [];
  for await (const event of await client.images.edit({ image, prompt: PROMPT, stream: true, steps: 3 })) types.push(event.type);
  assert.equal(types.at(-1), 'image_edit.completed');
});

await refused('images.edit with several pictures', 'openai.md#edits-and-variations', 'every model here starts from one', () =>
  client.images.edit({ image: [createReadStream('table.png'), createReadStream('pear.png')], prompt: PROMPT }));

await call('images.createVariation', async () => {
  const answer = await client.images.createVariation({ image: createReadStream('table.png'), n: 2, size: '64x64' });
  assert.equal(answer.data.length, 2);
});

await call('models.list and models.retrieve', async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes('pocket'));
  assert.equal((await client.models.retrieve('dall-e-3')).id, 'pocket');
});

await call('errors: BadRequestError, NotFoundError, AuthenticationError', async () => {
  await assert.rejects(client.images.generate({ prompt: PROMPT, size: '7x7' }), OpenAI.BadRequestError);
  await assert.rejects(client.images.generate({ prompt: PROMPT, model: 'nobody' }), OpenAI.NotFoundError);
  const stranger = new OpenAI({ baseURL: `${SERVICE}/v1`, apiKey: 'sk-stranger', maxRetries: 0 });
  await assert.rejects(stranger.images.generate(small), OpenAI.AuthenticationError);
});

await refused('responses.create with the tool image_generation', 'openai.md', 'nothing is at /v1/responses', () =>
  client.responses.create({ model: 'pocket', input: PROMPT, tools: [{ type: 'image_generation' }] }));
