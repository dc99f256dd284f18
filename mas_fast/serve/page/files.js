/** Scenes out of files: PNGs of labels, scenes that mas_fast saved, COCO's panoptic PNGs. */

import { VOID, square } from "./labels.js";
import { channel, decodePng } from "./png.js";

/**
 * Read a scene out of the files that were dropped.
 *
 * Args:
 *     files: File objects: a PNG; for COCO's, and the JSON that lists its segments.
 *     classes: of the bundle.
 *     layout: the name of its labels.
 *     side: of its scenes.
 *
 * Returns:
 *     Uint8Array of labels: the middle square of the PNG.
 *
 * Throws:
 *     Error: says what was found and what is expected.
 */
export async function sceneOfFiles(files, classes, layout, side) {
  const isJson = (file) => file.name.toLowerCase().endsWith(".json");
  const [pngs, tables] = [files.filter((file) => !isJson(file)), files.filter(isJson)];
  if (pngs.length !== 1 || tables.length > 1) {
    throw new Error("expected one PNG of labels, or one of COCO's panoptic PNGs and its JSON");
  }
  const png = await decodePng(new Uint8Array(await pngs[0].arrayBuffer()));
  const labels = tables.length
    ? panoptic(png, await readJson(tables[0]), pngs[0].name, classes)
    : plain(png, layout);
  const allowed = new Set([VOID, ...classes.map(({ label }) => label)]);
  const wrong = labels.find((label) => !allowed.has(label));
  if (wrong !== undefined) {
    throw new Error(`${pngs[0].name}: found the value ${wrong}, which is no label of ${layout}`);
  }
  return square(labels, png.width, png.height, side);
}

/** The labels of a PNG that `Scene.save` wrote, or the values of a gray or palette one. */
function plain(png, layout) {
  const [kind, , said] = (png.text.get("mas_fast") ?? "").split(" ");
  if (said && said !== layout) {
    throw new Error(`found a scene of ${said}, expected one of ${layout}`);
  }
  if (png.channels !== 1 && kind !== "scene") {
    throw new Error("found colours, expected labels; of a COCO panoptic PNG drop its JSON with it");
  }
  return channel(png, 0);
}

async function readJson(file) {
  try {
    return JSON.parse(await file.text());
  } catch {
    throw new Error(`${file.name}: found no JSON`);
  }
}

/**
 * The labels of a panoptic PNG, whose colour is the number of a segment: red + 256 green + 65536 blue
 * (cocodataset.org/#format-data, 4).
 */
function panoptic(png, table, name, classes) {
  if (png.channels < 3) throw new Error(`${name}: found no colours, expected a panoptic PNG`);
  const rows = table.annotations ?? [table];
  const row = rows.length === 1 ? rows[0] : rows.find(({ file_name }) => file_name === name);
  if (!Array.isArray(row?.segments_info)) {
    throw new Error(`the JSON has no segments of ${name}`);
  }
  const labelOf = new Map(classes.filter(({ coco }) => coco).map(({ coco, label }) => [coco, label]));
  const segments = new Map([[0, VOID]]);
  for (const { id, category_id } of row.segments_info) {
    segments.set(id, labelOf.get(category_id) ?? VOID);
  }
  const { samples, channels } = png;
  return Uint8Array.from({ length: png.width * png.height }, (_, n) => {
    const [red, green, blue] = samples.subarray(n * channels, n * channels + 3);
    const id = red + 256 * green + 65536 * blue;
    if (!segments.has(id)) throw new Error(`the JSON has no segment ${id} of ${name}`);
    return segments.get(id);
  });
}
