// Makes the calls of one client in turn, and writes down what came of each, as programs/calls.py does in Python.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';

export const SERVICE = process.env.SERVICE_URL;
export const KEY = process.env.SERVICE_KEY;
export const PROMPT = 'a red apple on a light blue background';
const PNG = '89504e470d0a1a0a';
const KINDS = { [PNG]: 'png', ffd8ff: 'jpeg', 52494646: 'webp' };

const write = (outcome) => appendFileSync(process.env.RESULTS, JSON.stringify(outcome) + '\n');

const said = (error) => {
  const detail = error?.response?.data ? JSON.stringify(error.response.data) : '';
  return `${error?.name}: ${error?.message} ${detail}`.replace(/\s+/g, ' ').trim();
};

/** Make a call; the function asserts what its user would see. */
export async function call(name, make) {
  try {
    await make();
    write({ call: name, result: 'works' });
  } catch (error) {
    write({ call: name, result: 'fails', why: said(error) });
  }
}

/** Make a call of a feature that the service lacks: the client's error must have the service's own words. */
export async function refused(name, page, says, make) {
  try {
    await make();
    write({ call: name, result: 'fails', why: `works, though ${page} says that it is not served` });
  } catch (error) {
    const why = said(error);
    if (why.includes(says)) write({ call: name, result: 'not served', why: says, page });
    else write({ call: name, result: 'fails', why: `says '${why}' instead of '${says}'` });
  }
}

/** The bytes of a picture in base64, in a data: address, or in an array. */
export const bytes = (picture) =>
  typeof picture === 'string' ? Buffer.from(picture.split(',').pop(), 'base64') : Buffer.from(picture);

/** The kind of a picture: png, jpeg or webp. */
export function kind(picture) {
  const hex = bytes(picture).subarray(0, 8).toString('hex');
  const found = Object.keys(KINDS).find((start) => hex.startsWith(start));
  assert.ok(found, `this is no picture: ${hex}`);
  return KINDS[found];
}

/** Width and height of a PNG in pixels. */
export function size(picture) {
  const data = bytes(picture);
  assert.equal(kind(data), 'png');
  return [data.readUInt32BE(16), data.readUInt32BE(20)];
}
