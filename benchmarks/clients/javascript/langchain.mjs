// LangChain for JavaScript: its tool for DALL-E, which always sends a style.
import assert from 'node:assert/strict';
import { DallEAPIWrapper } from '@langchain/openai';
import { KEY, PROMPT, SERVICE, call, kind } from './calls.mjs';

const draw = (more) => new DallEAPIWrapper({ apiKey: KEY, baseUrl: `${SERVICE}/v1`, size: '64x64', ...more });

await call('DallEAPIWrapper.invoke', async () => {
  const address = await draw({ model: 'dall-e-3' }).invoke(PROMPT);
  const answer = await fetch(address, { headers: { Authorization: `Bearer ${KEY}` } });
  assert.equal(kind(await answer.arrayBuffer()), 'png');
});

await call('DallEAPIWrapper.invoke with b64_json, n and user', async () => {
  const made = await draw({ model: 'dall-e-2', dallEResponseFormat: 'b64_json', n: 2, user: 'me' }).invoke(PROMPT);
  assert.equal(made.length, 2);
});
