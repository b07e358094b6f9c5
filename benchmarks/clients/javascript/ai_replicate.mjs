// The AI SDK with its provider for Replicate.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createReplicate } from '@ai-sdk/replicate';
import { generateImage } from 'ai';
import { KEY, PROMPT, SERVICE, call, kind, size } from './calls.mjs';

const replicate = createReplicate({ apiToken: KEY, baseURL: `${SERVICE}/v1` });
const model = replicate.image('lodestar/pocket');

// It loads the pictures without its token.
await call('generateImage with size', async () => {
  const { images } = await generateImage({ model, prompt: PROMPT, size: '64x64' });
  assert.deepEqual(size(images[0].uint8Array), [64, 64]);
});

await call('generateImage with aspectRatio, seed, provider options', async () => {
  const { images } = await generateImage({
    model, prompt: PROMPT, aspectRatio: '1:1', seed: 7, n: 2,
    providerOptions: { replicate: { num_inference_steps: 3, output_format: 'webp', disable_safety_checker: true } },
  });
  assert.equal(kind(images[0].uint8Array), 'webp');
});

await call('generateImage from a picture', async () => {
  const { images } = await generateImage({ model, prompt: { text: PROMPT, images: [readFileSync('table.png')] } });
  assert.equal(kind(images[0].uint8Array), 'png');
});

await call('errors: the message of the service', async () => {
  await assert.rejects(generateImage({ model, prompt: PROMPT, size: '7x7', maxRetries: 0 }), /input.size: Input should/);
});
