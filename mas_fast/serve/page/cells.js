/**
 * Strokes over a grid of cells, by mouse, finger, pen or keyboard, all of them alike.
 *
 * By keyboard: arrows move a cursor (with Shift by `leap` cells), Space puts the pen down and lifts
 * it, Escape gives the stroke up.
 */

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PEN_ERASER = 32; // of PointerEvent.buttons

export class CellInput {
  #element;
  #heard;
  #pointer = null; // that draws
  #pen = false; // whether the keyboard's pen is down

  /**
   * Args:
   *     element: covers the grid; it takes the focus.
   *     heard: functions down(point, kind), move(point), up(), cancel(), hover(point or null, whether
   *         by keyboard). kind is "draw", "erase" (the other end of a pen) or "pick" (Alt, or the
   *         right button). down says whether a stroke begins.
   *     side: cells of a side.
   *     leap: see above.
   */
  constructor(element, heard, side, leap) {
    this.#element = element;
    this.#heard = heard;
    this.side = side;
    this.leap = leap;
    this.cursor = { x: side >> 1, y: side >> 1 };
    this.enabled = true;
    const listen = (name, act) => element.addEventListener(name, act);
    listen("pointerdown", (event) => this.#down(event));
    listen("pointermove", (event) => this.#move(event));
    listen("pointerup", (event) => this.#up(event));
    listen("pointercancel", (event) => this.#lost(event));
    listen("pointerleave", () => this.#leave());
    listen("contextmenu", (event) => event.preventDefault());
    listen("keydown", (event) => this.#key(event));
    listen("blur", () => this.#lift());
  }

  #cell(event) {
    const box = this.#element.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.side);
    const y = Math.floor(((event.clientY - box.top) / box.height) * this.side);
    return { x, y };
  }

  #down(event) {
    if (!this.enabled || !event.isPrimary || event.button === 1) return;
    event.preventDefault(); // no selection of text, no scrolling
    this.#element.focus({ preventScroll: true });
    this.#lift();
    const pick = event.altKey || event.button === 2;
    const kind = pick ? "pick" : event.buttons & PEN_ERASER ? "erase" : "draw";
    this.cursor = this.#cell(event);
    if (!this.#heard.down(this.cursor, kind)) return;
    this.#pointer = event.pointerId;
    this.#element.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.enabled || !event.isPrimary) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) {
      this.cursor = this.#cell(one);
      if (event.pointerId === this.#pointer) this.#heard.move(this.cursor);
    }
    this.#heard.hover(this.cursor, false);
  }

  #leave() {
    if (this.#pointer === null) this.#heard.hover(null, false);
  }

  #up(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#heard.up();
  }

  #lost(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#heard.cancel();
  }

  #key(event) {
    if (!this.enabled || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = event.shiftKey ? this.leap : 1;
      const within = (n) => Math.min(Math.max(n, 0), this.side - 1);
      const [x, y] = arrow.map((way) => way * step);
      this.cursor = { x: within(this.cursor.x + x), y: within(this.cursor.y + y) };
      if (this.#pen) this.#heard.move(this.cursor);
      this.#heard.hover(this.cursor, true);
    } else if (event.key === " ") {
      if (event.repeat) return event.preventDefault();
      if (this.#pen) this.#lift();
      else this.#pen = this.#heard.down(this.cursor, "draw");
      this.#heard.hover(this.cursor, true);
    } else if (event.key === "Escape" && (this.#pen || this.#pointer !== null)) {
      this.#pen = false;
      this.#pointer = null;
      this.#heard.cancel();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #lift() {
    if (!this.#pen) return;
    this.#pen = false;
    this.#heard.up();
  }
}
