/**
 * Maps of labels: a Uint8Array of side * side labels, row by row. Pure functions.
 *
 * A point is {x, y} in whole cells from the upper left corner; it may lie outside of the map.
 */

export const VOID = 255; // nothing is said about this cell: the model draws it

/** A map of nothing but void. */
export function blank(side) {
  return new Uint8Array(side * side).fill(VOID);
}

export function equal(a, b) {
  return a.length === b.length && a.every((label, n) => label === b[n]);
}

/** Paint a round dab of `size` cells across. */
export function dab(map, side, { x, y }, size, label) {
  const radius = size / 2;
  const [left, top] = [x, y].map((centre) => Math.ceil(centre - radius));
  const shift = size % 2 ? 0 : 0.5; // the middle of an even dab is a corner of cells
  for (let row = Math.max(top, 0); row < Math.min(top + size, side); row++) {
    for (let column = Math.max(left, 0); column < Math.min(left + size, side); column++) {
      const [dx, dy] = [column - x + shift, row - y + shift];
      if (dx * dx + dy * dy <= radius * radius) map[row * side + column] = label;
    }
  }
}

/** Paint dabs along a line, both ends included. */
export function line(map, side, from, to, size, label) {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y));
  for (let step = 0; step <= steps; step++) {
    const share = steps ? step / steps : 0;
    const x = Math.round(from.x + (to.x - from.x) * share);
    const y = Math.round(from.y + (to.y - from.y) * share);
    dab(map, side, { x, y }, size, label);
  }
}

/** Paint a filled rectangle, both corners included. */
export function rectangle(map, side, from, to, label) {
  const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
  const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
  for (let row = Math.max(top, 0); row <= Math.min(bottom, side - 1); row++) {
    const start = row * side;
    map.fill(label, start + Math.max(left, 0), start + Math.min(right, side - 1) + 1);
  }
}

/** Paint the cells around a point that are joined to it, side by side, and have its label. */
export function fill(map, side, { x, y }, label) {
  if (x < 0 || y < 0 || x >= side || y >= side) return;
  const old = map[y * side + x];
  if (old === label) return;
  const waiting = [y * side + x];
  while (waiting.length) {
    const cell = waiting.pop();
    if (map[cell] !== old) continue;
    map[cell] = label;
    const column = cell % side;
    if (column > 0) waiting.push(cell - 1);
    if (column < side - 1) waiting.push(cell + 1);
    if (cell >= side) waiting.push(cell - side);
    if (cell + side < map.length) waiting.push(cell + side);
  }
}

/** Cut out the middle square and resize it: each cell takes the label under its centre. */
export function square(labels, width, height, side) {
  const least = Math.min(width, height);
  const [left, top] = [(width - least) >> 1, (height - least) >> 1];
  const nearest = (n) => Math.floor(((2 * n + 1) * least) / (2 * side));
  const map = new Uint8Array(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      map[row * side + column] = labels[(top + nearest(row)) * width + left + nearest(column)];
    }
  }
  return map;
}

/** The paint, and below it, where it is void, another map. */
export function over(paint, below) {
  return below ? paint.map((label, n) => (label === VOID ? below[n] : label)) : paint;
}

/** The share of each label: pairs [label, share], largest first. */
export function shares(map) {
  const counts = new Map();
  for (const label of map) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1] || a[0] - b[0])
    .map(([label, count]) => [label, count / map.length]);
}
