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
 * label: that it paints, whatever is chosen.
 */
export const TOOLS = {
  brush: { key: "b", draw: dabs },
  eraser: { key: "e", draw: dabs, label: VOID },
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

function dabs(map, side, { last, now, size, label }) {
  line(map, side, last, now, size, label);
}

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
  const flips = [[false, false]];
  if (AXES[mirror].includes("x")) flips.push([true, false]);
  if (AXES[mirror].includes("y")) flips.push([false, true]);
  if (AXES[mirror] === "xy") flips.push([true, true]);
  const flipped = ({ x, y }, [across, down]) => ({
    x: across ? side - 1 - x : x,
    y: down ? side - 1 - y : y,
  });
  if (tool.once) {
    for (const flip of flips) {
      const label = flip[0] ? mirrored[stroke.label] : stroke.label;
      tool.draw(map, side, { ...stroke, now: flipped(stroke.now, flip), label });
    }
    return;
  }
  // Drawn once and copied: a line that is rounded to cells is not that of its mirrored ends.
  const drawn = new Uint8Array(map.length);
  tool.draw(drawn, side, { ...stroke, label: 1 });
  const { label } = stroke;
  drawn.forEach((hit, cell) => {
    if (!hit) return;
    const point = { x: cell % side, y: Math.floor(cell / side) };
    for (const flip of flips) {
      const { x, y } = flipped(point, flip);
      map[y * side + x] = flip[0] ? mirrored[label] : label;
    }
  });
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
