/** Where in a map there is room for the names of its regions. */

/**
 * Args:
 *     map: Uint8Array of labels.
 *     side: cells of a side.
 *
 * Returns:
 *     Of each region, cells of one label that are joined side by side: {label, x, y, room, width};
 *     the middle of its roomiest place, in cells, the distance from there to its border, and the
 *     width of the region.
 */
export function roomsOf(map, side) {
  const distance = distances(map, side);
  const seen = new Uint8Array(map.length);
  const rooms = [];
  for (let start = 0; start < map.length; start++) {
    if (seen[start]) continue;
    const label = map[start];
    let [best, left, right] = [start, side, 0];
    const waiting = [start];
    seen[start] = 1;
    while (waiting.length) {
      const cell = waiting.pop();
      const column = cell % side;
      left = Math.min(left, column);
      right = Math.max(right, column);
      if (distance[cell] > distance[best]) best = cell;
      for (const next of neighbours(cell, column, side, map.length)) {
        if (seen[next] || map[next] !== label) continue;
        seen[next] = 1;
        waiting.push(next);
      }
    }
    const [x, y] = [(best % side) + 0.5, Math.floor(best / side) + 0.5];
    rooms.push({ label, x, y, room: distance[best], width: right - left + 1 });
  }
  return rooms;
}

function neighbours(cell, column, side, length) {
  const found = [];
  if (column > 0) found.push(cell - 1);
  if (column < side - 1) found.push(cell + 1);
  if (cell >= side) found.push(cell - side);
  if (cell + side < length) found.push(cell + side);
  return found;
}

/** Steps from each cell to the border of its label, in two passes (Rosenfeld and Pfaltz, 1966). */
function distances(map, side) {
  const found = new Uint16Array(map.length);
  const nearer = (cell, next, inside) =>
    inside && map[next] === map[cell] ? found[next] + 1 : 1;
  for (let cell = 0; cell < map.length; cell++) {
    const column = cell % side;
    const above = nearer(cell, cell - side, cell >= side);
    found[cell] = Math.min(above, nearer(cell, cell - 1, column > 0));
  }
  for (let cell = map.length - 1; cell >= 0; cell--) {
    const below = nearer(cell, cell + side, cell + side < map.length);
    const right = nearer(cell, cell + 1, cell % side < side - 1);
    found[cell] = Math.min(found[cell], below, right);
  }
  return found;
}
