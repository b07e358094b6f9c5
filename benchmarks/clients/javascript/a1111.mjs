// stable-diffusion-api, a client of A1111's web UI.
import assert from 'node:assert/strict';
import sharp from 'sharp';
import stableDiffusion from 'stable-diffusion-api';
import { KEY, PROMPT, SERVICE, call, refused } from './calls.mjs';

const { hostname, port } = new URL(SERVICE);
const api = new stableDiffusion.StableDiffusionApi({ host: hostname, port: Number(port), protocol: 'http' });
api.setAuth('me', KEY);
const small = { prompt: PROMPT, width: 64, height: 64, steps: 3 };

await call('txt2img with its defaults', async () => {
  const result = await api.txt2img({ prompt: PROMPT, width: 64, height: 64 });
  const { width, height } = await result.image.metadata();
  assert.deepEqual([width, height], [64, 64]);
});

await call('txt2img with batches', async () => {
  const result = await api.txt2img({ ...small, batch_size: 2, n_iter: 2, seed: 7 });
  assert.equal(result.images.length, 4);
});

await call('img2img with a mask', async () => {
  const mask = sharp({ create: { width: 64, height: 64, channels: 3, background: 'white' } }).png();
  const result = await api.img2img({ ...small, init_images: [sharp('table.png')], mask_image: mask, inpaint_full_res: false });
  assert.equal(result.images.length, 1);
});

await call('extraSingle', async () => {
  const one = await api.extraSingle({ image: sharp('table.png'), upscaler_1: 'Lanczos', upscaling_resize: 2 });
  assert.equal((await one.image.metadata()).width, 128);
});

// It names the list otherwise than A1111, which refuses it likewise.
await refused('extraBatch', 'a1111.md#extras', 'imageList: Field required', () => api.extraBatch({
  images: [sharp('table.png'), sharp('pear.png')], name_list: ['a', 'b'], upscaler_1: 'Lanczos', upscaling_resize: 2,
}));

await call('pngInfo, getProgress, getOptions, setOptions, getCurrentModel', async () => {
  await api.pngInfo(sharp('table.png'));
  assert.equal((await api.getProgress()).progress, 0);
  await api.setOptions({ send_seed: false });
  assert.equal((await api.getOptions()).send_seed, false);
  await api.setOptions({ sd_model_checkpoint: 'pocket' });  // setModel reads a field that A1111's models lack
  assert.match(await api.getCurrentModel(), /^pocket/);
  assert.equal(await api.waitForReady(0.1), true);
});

await call('every list', async () => {
  for (const name of ['getSamplers', 'getUpscalers', 'getSdModels', 'getHypernetworks', 'getFaceRestorers',
    'getRealesrganModels', 'getPromptStyles', 'getCmdFlags']) assert.ok(await api[name](), name);
  await api.refreshCheckpoints();
  assert.deepEqual(await api.ControlNet.getModels(), []);
});

await call('errors: 401, and 422 with the field', async () => {
  await assert.rejects(api.txt2img({ ...small, steps: 0 }), (error) => error.response.data.errors.includes('steps'));
  const { StableDiffusionApi } = stableDiffusion;
  const stranger = new StableDiffusionApi({ host: hostname, port: Number(port) }).setAuth('me', 'none');
  await assert.rejects(stranger.txt2img(small), (error) => error.response.status === 401);
});

await refused('txt2img with restore_faces', 'a1111.md#fields-of-txt2img', 'restore_faces', () =>
  api.txt2img({ ...small, restore_faces: true }));
