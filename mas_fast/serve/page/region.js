/** A rectangle on the picture, in cells of the model's grid: what is drawn there can be redrawn. */

import { CellInput } from "./cells.js";
import { say } from "./say.js";

/** Says "region", as a CustomEvent, with {box}: left, top, right, bottom in pixels. */
export class Region extends EventTarget {
  #element;
  #mark;
  #first = null;
  #box = null; // in cells, both corners included

  /**
   * Args:
   *     element: lies over the picture, and holds .mark.
   *     picture: of the bundle: {side, grid}.
   */
  constructor(element, { side, grid }) {
    super();
    this.#element = element;
    this.#mark = element.querySelector(".mark");
    this.cell = side / grid;
    this.grid = grid;
    const heard = {
      down: (point) => this.#from(point),
      move: (point) => this.#to(point),
      up: () => this.#done(),
      cancel: () => this.#clear(),
      hover: (point, byKey) => this.#hover(point, byKey),
    };
    new CellInput(element, heard, grid, 4);
  }

  get on() {
    return !this.#element.hidden;
  }

  /** Whether a rectangle can be drawn. */
  set on(value) {
    this.#element.hidden = !value;
    this.#clear();
    if (!value) return;
    this.#element.focus({ preventScroll: true });
    say("drag a rectangle over what is to be drawn anew; or arrows, Space, arrows, Space");
  }

  #from(point) {
    this.#first = point;
    this.#to(point);
    return true;
  }

  #to(point) {
    const within = (n) => Math.min(Math.max(n, 0), this.grid - 1);
    const [a, b] = [this.#first, point].map(({ x, y }) => ({ x: within(x), y: within(y) }));
    this.#box = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
    this.#show(this.#box);
  }

  #done() {
    const [left, top, right, bottom] = this.#box;
    const box = [left, top, right + 1, bottom + 1].map((n) => n * this.cell);
    this.#first = null;
    this.dispatchEvent(new CustomEvent("region", { detail: { box } }));
  }

  #clear() {
    this.#first = this.#box = null;
    this.#mark.hidden = true;
  }

  #hover(point, byKey) {
    if (!byKey) return;
    if (!this.#first) this.#show([point.x, point.y, point.x, point.y]);
    say(`column ${point.x + 1}, row ${point.y + 1} of ${this.grid}`);
  }

  #show([left, top, right, bottom]) {
    const share = (n) => `${(100 * n) / this.grid}%`;
    this.#mark.hidden = false;
    Object.assign(this.#mark.style, {
      left: share(left),
      top: share(top),
      width: share(right + 1 - left),
      height: share(bottom + 1 - top),
    });
  }
}
