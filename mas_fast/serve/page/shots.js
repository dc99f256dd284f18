/** What the server says of a picture, decoded: a shot that can be shown at once. */

import { channel, decodePng, fromBase64 } from "./png.js";

/**
 * Args:
 *     events: of the API, in their order.
 *
 * Yields:
 *     Each with `shot`: {src, blob, labels, sceneBlob, share, final}.
 */
export async function* shotsOf(events) {
  const scenes = new Map(); // by their Base64: most events repeat the one before
  for await (const event of events) {
    const { b64_json: file, output_format: format, scene, share, type } = event;
    if (scene && !scenes.has(scene)) scenes.set(scene, await sceneOf(scene));
    const { labels, sceneBlob } = scenes.get(scene) ?? { labels: null, sceneBlob: null };
    const src = `data:image/${format};base64,${file}`;
    const blob = new Blob([fromBase64(file)], { type: `image/${format}` });
    const image = new Image();
    image.src = src;
    await image.decode(); // so that it is there when it is shown
    const final = type.endsWith(".completed");
    yield { ...event, shot: { src, blob, labels, sceneBlob, share, final } };
  }
}

/** A scene's PNG, as `Scene.save` writes it: red is the label. */
async function sceneOf(file) {
  const bytes = fromBase64(file);
  const labels = channel(await decodePng(bytes), 0);
  return { labels, sceneBlob: new Blob([bytes], { type: "image/png" }) };
}
