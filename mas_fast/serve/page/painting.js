/** What a person has painted: a map of labels, and how it came about. */

import { blank, equal } from "./labels.js";

const STEPS = 100; // that can be undone

/** Says "change" whenever a label changes, and "commit" when a step is done. */
export class Painting extends EventTarget {
  #before = null; // the map when the stroke began
  #past = [];
  #future = [];

  constructor(side) {
    super();
    this.side = side;
    this.labels = blank(side);
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** Whether a stroke is under way. */
  get open() {
    return this.#before !== null;
  }

  get isBlank() {
    return equal(this.labels, blank(this.side));
  }

  begin() {
    this.#before = this.labels.slice();
  }

  /** Paint on the map as it is, or, with `afresh`, as it was when the stroke began. */
  paint(change, afresh = false) {
    if (afresh) this.labels.set(this.#before);
    change(this.labels, this.side);
    this.#say("change");
  }

  /** End a stroke. It is one step, if it changed anything. */
  commit() {
    const before = this.#before;
    this.#before = null;
    if (before && !equal(before, this.labels)) this.#step(before);
  }

  /** Give up a stroke. */
  cancel() {
    if (!this.#before) return;
    this.labels.set(this.#before);
    this.#before = null;
    this.#say("change");
  }

  /** Take another map, in one step. */
  replace(labels) {
    this.begin();
    this.paint((map) => map.set(labels));
    this.commit();
  }

  undo() {
    this.#travel(this.#past, this.#future);
  }

  redo() {
    this.#travel(this.#future, this.#past);
  }

  #travel(from, to) {
    if (this.open || !from.length) return;
    to.push(this.labels.slice());
    this.labels.set(from.pop());
    this.#say("change");
    this.#say("commit");
  }

  #step(before) {
    this.#past.push(before);
    if (this.#past.length > STEPS) this.#past.shift();
    this.#future = [];
    this.#say("commit");
  }

  #say(what) {
    this.dispatchEvent(new Event(what));
  }
}
