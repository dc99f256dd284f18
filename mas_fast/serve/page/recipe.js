/**
 * What a picture is made of, and how the server is asked to draw it.
 *
 * A recipe is {state, paint}. The state is {bundle, caption, seed, count, chosen, guidance,
 * temperature, side, labels}, and `edits` where regions were redrawn: of the picture `chosen` of
 * `count`, one after the other, each {seed, region, what, caption, guidance, temperature}. The paint
 * is a Uint8Array of side * side labels; null: nothing is painted. So a recipe draws the same bytes
 * again, and is all that a link holds.
 */

import { encodePng, toBase64 } from "./png.js";
import { shotsOf } from "./shots.js";

const PREVIEWS = 3; // of a picture

/** How many pictures a recipe makes. */
export function countOf({ state }) {
  return state.edits ? 1 : state.count;
}

/** The caption that its pictures were drawn with last. */
export function captionOf({ state }) {
  return state.edits?.at(-1).caption ?? state.caption;
}

/** The recipe of a picture whose region is redrawn. */
export function edited({ state, paint }, edit) {
  return { state: { ...state, edits: [...(state.edits ?? []), edit] }, paint };
}

/**
 * Draw a recipe.
 *
 * Args:
 *     api: the server.
 *     recipe: {state, paint}.
 *     signal: ends it.
 *     source: a Blob, the picture that the last edit is of; null: it is drawn before, unseen.
 *
 * Yields:
 *     The server's events, each with its `shot`.
 */
export async function* drawn(api, recipe, signal, source = null) {
  const { state, paint } = recipe;
  if (!state.edits) return yield* generated(api, recipe, signal);
  const last = state.edits.at(-1);
  const rest = state.edits.slice(0, -1);
  const { edits, ...first } = state;
  const before = { state: rest.length ? { ...state, edits: rest } : first, paint };
  const image = source ?? (await pictureOf(before, drawn(api, before, signal)));
  const { caption, ...asked } = last;
  yield* shotsOf(api.edit(streamed({ ...asked, prompt: caption || null }), image, signal));
}

/** The file of the picture that is chosen, once it is whole. */
async function pictureOf(recipe, events) {
  const chosen = recipe.state.edits ? 0 : recipe.state.chosen;
  let blob = null;
  for await (const { index, shot } of events) {
    if (index === chosen && shot.final) blob = shot.blob;
  }
  if (blob === null) throw new Error("the server went away before the picture was whole");
  return blob;
}

async function* generated(api, { state, paint }, signal) {
  const { caption, seed, count, guidance, temperature, side, labels } = state;
  const scene = paint && { scene: toBase64(await encodePng(paint, side, side)), scene_labels: labels };
  const asked = { prompt: caption, seed, n: count, guidance, temperature, ...scene };
  yield* shotsOf(api.generate(streamed(asked), signal));
}

/** What is asked, without that for which the model's own holds. */
function streamed(asked) {
  const given = Object.entries(asked).filter(([, value]) => value !== null);
  return { ...Object.fromEntries(given), stream: true, partial_images: PREVIEWS };
}
