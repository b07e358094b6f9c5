// The AI SDK with its provider for Replicate.
import assert from 'node:assert/strict';
import { createReplicate } from '@ai-sdk/replicate';
import { generateImage } from 'ai';
import { KEY, PROMPT, SERVICE, call, refused } from './calls.mjs';

const replicate = createReplicate({ apiToken: KEY, baseURL: `${SERVICE}/v1` });
const model = replicate.image('lodestar/pocket');

// It loads the pictures without its token.
await refused('generateImage', 'replicate.md#keys', 'this needs a key', () =>
  generateImage({ model, prompt: PROMPT, size: '64x64' }));

await call('errors: the message of the service', async () => {
  await assert.rejects(generateImage({ model, prompt: PROMPT, size: '7x7', maxRetries: 0 }), /input.size: Input should/);
});
