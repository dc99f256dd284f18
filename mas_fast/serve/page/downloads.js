/** Files to take along: the picture, its scene, its legend, and the painting. */

import { VOID, shares } from "./labels.js";
import { encodePng } from "./png.js";

const SCALE = 512; // pixels of the legend's scene, at least

/** Offer a file. */
export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A name for files: the first words of a caption, and the seed. */
export function fileName(caption, seed) {
  const words = caption.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["picture"];
  return `${words.slice(0, 6).join("-")}-${seed}`;
}

/** A PNG of labels that mas_fast reads as it is: a palette of the layout's colours, and its name. */
export async function labelFile(labels, side, classes, layout) {
  const palette = new Uint8Array(256 * 3);
  for (const { label, colour } of classes) {
    palette.set([1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)), label * 3);
  }
  const text = [["mas_fast", `labels 1 ${layout}`]];
  const bytes = await encodePng(labels, side, side, { palette, text });
  return new Blob([bytes], { type: "image/png" });
}

/** A scene to look at, with the names, colours and shares of its classes. */
export function legendFile(labels, side, classes) {
  const named = new Map(classes.map((one) => [one.label, one]));
  const of = (label) => named.get(label) ?? { name: "void", colour: "#000000" };
  const scale = Math.ceil(SCALE / side);
  const rows = shares(labels);
  const canvas = document.createElement("canvas");
  canvas.width = side * scale + 240;
  canvas.height = Math.max(side * scale, rows.length * 26 + 16);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  labels.forEach((label, n) => {
    if (label === VOID) return;
    context.fillStyle = of(label).colour;
    context.fillRect((n % side) * scale, Math.floor(n / side) * scale, scale, scale);
  });
  context.font = "15px system-ui, sans-serif";
  context.textBaseline = "middle";
  rows.forEach(([label, share], n) => {
    const [left, middle] = [side * scale + 16, n * 26 + 21];
    context.fillStyle = of(label).colour;
    context.fillRect(left, middle - 8, 16, 16);
    context.fillStyle = "#1b1c1e";
    context.fillText(`${of(label).name}  ${(100 * share).toFixed(1)} %`, left + 26, middle);
  });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
