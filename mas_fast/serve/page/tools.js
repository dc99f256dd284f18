/** The tools: how a stroke, from a point over points to a point, changes a painting. */

import { VOID, fill, line, rectangle } from "./labels.js";

/**
 * Each tool by its name.
 *
 * key: that takes it up.
 * draw(map, side, stroke): changes the map. A stroke has `first`, `last` (the point before) and
 *     `now`, `label` and `size`.
 * afresh: whether each move draws on the map as it was before the stroke.
 * once: whether the first point is the whole stroke.
 */
export const TOOLS = {
  brush: {
    key: "b",
    draw: (map, side, { last, now, size, label }) => line(map, side, last, now, size, label),
  },
  eraser: {
    key: "e",
    draw: (map, side, { last, now, size }) => line(map, side, last, now, size, VOID),
  },
  fill: {
    key: "f",
    once: true,
    draw: (map, side, { now, label }) => fill(map, side, now, label),
  },
  line: {
    key: "l",
    afresh: true,
    draw: (map, side, { first, now, size, label }) => line(map, side, first, now, size, label),
  },
  rectangle: {
    key: "r",
    afresh: true,
    draw: (map, side, { first, now, label }) => rectangle(map, side, first, now, label),
  },
  picker: { key: "i", once: true },
};

const AXES = { none: "", "left-right": "x", "top-bottom": "y", both: "xy" };

/**
 * Draw with a tool, and again in the mirror.
 *
 * Args:
 *     tool: one of TOOLS.
 *     mirror: one of the keys of AXES.
 *     stroke: see TOOLS.
 *     mirrored: the label that each label becomes where left and right are exchanged.
 */
export function drawMirrored(map, side, tool, mirror, stroke, mirrored) {
  const axes = AXES[mirror];
  const flips = [[false, false]];
  if (axes.includes("x")) flips.push([true, false]);
  if (axes.includes("y")) flips.push([false, true]);
  if (axes === "xy") flips.push([true, true]);
  for (const [x, y] of flips) {
    // A dab of even size reaches one cell further to the left and up than to the right and down.
    const far = side - (tool.once || tool === TOOLS.rectangle || stroke.size % 2 ? 1 : 0);
    const flip = (point) => ({
      x: x ? far - point.x : point.x,
      y: y ? far - point.y : point.y,
    });
    const { first, last, now, size, label } = stroke;
    const other = x ? mirrored[label] : label;
    const turned = { first: flip(first), last: flip(last), now: flip(now), size, label: other };
    tool.draw(map, side, turned);
  }
}

/** The label that each label becomes in the mirror: a left arm is a right arm there. */
export function mirrorTable(classes) {
  const table = Uint8Array.from({ length: 256 }, (_, label) => label);
  const named = new Map(classes.map(({ name, label }) => [name, label]));
  for (const { name, label } of classes) {
    const other = name.replace(/^(left|right)-/, (_, hand) => (hand === "left" ? "right-" : "left-"));
    table[label] = named.get(other) ?? label;
  }
  return table;
}
