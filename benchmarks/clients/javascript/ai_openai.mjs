// The AI SDK with its provider for services that speak OpenAI's API.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateImage } from 'ai';
import { KEY, PROMPT, SERVICE, call, kind, size } from './calls.mjs';

const provider = createOpenAICompatible({ name: 'lodestar', apiKey: KEY, baseURL: `${SERVICE}/v1` });
const model = provider.imageModel('pocket');

await call('generateImage', async () => {
  const { images } = await generateImage({ model, prompt: PROMPT, size: '64x64', n: 2 });
  assert.deepEqual(images.map((picture) => size(picture.uint8Array)), [[64, 64], [64, 64]]);
});

await call('generateImage of twelve pictures, with provider options', async () => {
  const { images } = await generateImage({
    model, prompt: PROMPT, n: 12, providerOptions: { lodestar: { quality: 'low', steps: 2 } },
  });
  assert.equal(images.length, 12);
});

await call('generateImage from a picture and a mask', async () => {
  const { images } = await generateImage({
    model, prompt: { text: PROMPT, images: [readFileSync('table.png')], mask: readFileSync('mask.png') },
  });
  assert.equal(kind(images[0].uint8Array), 'png');
});

await call('errors: the message of the service', async () => {
  await assert.rejects(generateImage({ model, prompt: PROMPT, size: '7x7', maxRetries: 0 }), /size: Input should/);
});
