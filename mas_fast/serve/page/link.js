/**
 * Permalinks: all that a picture is made of, in the fragment of an address.
 *
 * "#1." and Base64 (that of URLs) of a deflated text: JSON of {bundle, caption, seed, count, chosen,
 * guidance, temperature, side, labels}, and, where anything is painted, a NUL and side * side labels.
 */

import { fromBase64, through, toBase64 } from "./png.js";

const VERSION = "#1.";

/**
 * Args:
 *     state: the fields above.
 *     paint: Uint8Array of labels, or null.
 */
export async function linkOf(state, paint) {
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
 *     {state, paint}; null where the fragment is no link of ours.
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
    if (paint && paint.length !== state.side ** 2) throw new Error("cut off");
    return { state, paint };
  } catch {
    throw new Error("this link is damaged: it was not copied as a whole");
  }
}
