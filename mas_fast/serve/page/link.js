/**
 * Permalinks: the recipe of a picture (recipe.js) in the fragment of an address.
 *
 * "#1." and Base64 (that of URLs) of a deflated text: JSON of the state, and, where anything is
 * painted, a NUL and the labels.
 */

import { fromBase64, through, toBase64 } from "./png.js";

const VERSION = "#1.";
const MOST_PICTURES = 16; // of a request

/** The link of a recipe. */
export async function linkOf({ state, paint }) {
  const head = new TextEncoder().encode(JSON.stringify(state));
  const bytes = new Uint8Array(head.length + (paint ? 1 + paint.length : 0));
  bytes.set(head);
  if (paint) bytes.set(paint, head.length + 1);
  const small = await through(bytes, new CompressionStream("deflate-raw"));
  const text = toBase64(small).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return VERSION + text;
}

/**
 * Read a link.
 *
 * Returns:
 *     The recipe; null where the fragment is no link of ours.
 *
 * Throws:
 *     Error: it is one, and damaged.
 */
export async function readLink(fragment) {
  if (!fragment.startsWith(VERSION)) return null;
  try {
    const text = fragment.slice(VERSION.length).replaceAll("-", "+").replaceAll("_", "/");
    const bytes = await through(fromBase64(text), new DecompressionStream("deflate-raw"));
    const end = bytes.indexOf(0);
    const state = JSON.parse(new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)));
    const paint = end < 0 ? null : bytes.slice(end + 1);
    if (!isWhole(state) || (paint && paint.length !== state.side ** 2)) throw new Error("cut off");
    return { state, paint };
  } catch {
    throw new Error("this link is damaged: it was not copied as a whole");
  }
}

/** Whether a state has all that a picture is made of; what its values may be the server says. */
function isWhole({ bundle, caption, seed, count, chosen, side, edits }) {
  return (
    [bundle, caption].every((text) => typeof text === "string") &&
    [seed, count, chosen, side].every((number) => Number.isSafeInteger(number) && number >= 0) &&
    chosen < count &&
    count <= MOST_PICTURES &&
    (edits === undefined || (edits.length > 0 && edits.every(({ region }) => region.length > 0)))
  );
}
