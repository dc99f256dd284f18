/** The scene's side of the page: tools, classes and keys over a painting, and its view. */

import { CellInput } from "./cells.js";
import { Classes } from "./classes.js";
import { VOID, blank, over, shares } from "./labels.js";
import { Painting } from "./painting.js";
import { say } from "./say.js";
import { TOOLS, drawMirrored, mirrorTable } from "./tools.js";
import { SceneView } from "./view.js";

const SIZES = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32]; // of brushes, in cells

/** Says "stroke" when a stroke begins, and "follow" when the painting is another. */
export class Studio extends EventTarget {
  #root;
  #fields;
  #mirrored;
  #stroke = null;

  /**
   * Args:
   *     root: the section of the page.
   *     scene: of the bundle: {side, grid}.
   *     classes: of the bundle.
   */
  constructor(root, scene, classes) {
    super();
    this.#root = root;
    this.#fields = root.querySelector("form").elements;
    this.#mirrored = mirrorTable(classes);
    this.painting = new Painting(scene.side);
    this.classes = new Classes(root.querySelector(".classes"), classes);
    this.view = new SceneView(root.querySelector(".stage"), scene.side, scene.grid, classes);
    this.view.labels = this.painting.labels;
    this.canvas = root.querySelector(".overlay");
    const heard = {
      down: (point, kind) => this.#down(point, kind),
      move: (point) => this.#move(point),
      up: () => this.#up(),
      cancel: () => this.#cancel(),
      hover: (point, byKey) => this.#hover(point, byKey),
    };
    this.#fields.size.max = SIZES.length - 1;
    this.input = new CellInput(this.canvas, heard, scene.side, scene.side / scene.grid);
    this.painting.addEventListener("change", () => this.#changed());
    this.painting.addEventListener("commit", () => this.#changed());
    this.classes.addEventListener("choose", () => this.#chosen());
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("input", () => this.#show());
    this.#button("undo", () => this.undo());
    this.#button("redo", () => this.redo());
    this.#button("clear", () => this.replace(blank(scene.side), "cleared"));
    this.#button("take-over", () => this.takeOver());
    if (classes.length) this.#chosen();
    this.#show();
    this.#changed();
  }

  /** Show the model's scene below the paint; null: none. */
  set ghost(labels) {
    this.view.below = labels;
    this.#changed();
  }

  get ghost() {
    return this.view.below;
  }

  /** What is seen: the paint, and the model's scene where it is void. */
  get seen() {
    return over(this.painting.labels, this.ghost);
  }

  /** Take other labels, as one step that the picture follows. */
  replace(labels, done) {
    this.painting.replace(labels);
    say(done);
    this.#say("follow");
  }

  /** Make the model's scene paint. The picture is that of this scene already. */
  takeOver() {
    this.painting.replace(this.seen);
    say("the model's scene is yours now: paint on it");
  }

  undo() {
    if (!this.painting.canUndo) return;
    this.painting.undo();
    say("undone");
    this.#say("follow");
  }

  redo() {
    if (!this.painting.canRedo) return;
    this.painting.redo();
    say("done again");
    this.#say("follow");
  }

  get #tool() {
    return this.#fields.tool.value;
  }

  get #size() {
    return SIZES[this.#fields.size.value];
  }

  #down(point, kind) {
    if (kind === "pick" || this.#tool === "picker") return this.#pick(point);
    this.#say("stroke");
    const name = kind === "erase" ? "eraser" : this.#tool;
    const [label, size] = [TOOLS[name].label ?? this.classes.label, this.#size];
    this.#stroke = { name, first: point, last: point, now: point, label, size };
    this.painting.begin();
    this.#draw();
    if (TOOLS[name].once) this.#up();
    return !TOOLS[name].once;
  }

  #move(point) {
    this.#stroke.last = this.#stroke.now;
    this.#stroke.now = point;
    this.#draw();
  }

  #draw() {
    const tool = TOOLS[this.#stroke.name];
    const mirror = this.#fields.mirror.value;
    this.painting.paint(
      (map, side) => drawMirrored(map, side, tool, mirror, this.#stroke, this.#mirrored),
      tool.afresh,
    );
  }

  #up() {
    this.#stroke = null;
    this.painting.commit();
    this.#say("follow");
  }

  #cancel() {
    this.#stroke = null;
    this.painting.cancel();
    say("the stroke is taken back");
    this.#say("follow");
  }

  #pick({ x, y }) {
    const label = this.seen[y * this.painting.side + x];
    if (label === undefined || label === VOID) {
      say("nothing is there to pick");
    } else {
      this.classes.choose(label);
      this.#take("brush");
    }
    return false;
  }

  #hover(point, byKey) {
    const outlined = ["brush", "eraser", "line"].includes(this.#tool);
    this.view.cursor = point && { point, size: outlined ? this.#size : 1 };
    this.view.refresh();
    const label = point && this.seen[point.y * this.painting.side + point.x];
    const name = this.classes.named(label)?.name ?? "void";
    const place = point ? `column ${point.x + 1}, row ${point.y + 1}: ${name}` : "";
    if (byKey) say(`${place}${this.#stroke ? ", the pen is down" : ""}`);
    this.#root.querySelector(".place").textContent = byKey ? "" : place;
  }

  #take(tool) {
    this.#fields.tool.value = tool;
    this.#show();
    say(tool);
  }

  #key(event) {
    const typing = event.target.matches("input[type=search], input[type=number], select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const tool = Object.keys(TOOLS).find((name) => TOOLS[name].key === key);
    const size = Number(this.#fields.size.value);
    if (tool) this.#take(tool);
    else if (/^[1-9]$/.test(key)) this.classes.chooseDigit(Number(key));
    else if (key === "/") this.classes.focusSearch();
    else if (key === "[" || key === "]") this.#fields.size.value = size + (key === "]" ? 1 : -1);
    else if (key === "m") this.#fields.mirror.selectedIndex = (this.#fields.mirror.selectedIndex + 1) % 4;
    else if (key === "t" && this.ghost) this.takeOver();
    else return;
    event.preventDefault();
    this.#show();
  }

  #chosen() {
    const { name, colour, learned } = this.classes.chosen;
    this.#root.querySelector(".chosen .swatch").style.background = colour;
    this.#root.querySelector(".chosen-name").textContent = name;
    this.#root.querySelector(".chosen .note").hidden = learned;
    if (this.#tool === "eraser" || this.#tool === "picker") this.#take("brush");
    say(`painting ${name}${learned ? "" : ", which no caption named when the model learned"}`);
  }

  /** Show what the fields say. */
  #show() {
    const cells = `${this.#size} ${this.#size === 1 ? "cell" : "cells"}`;
    this.#fields.size.setAttribute("aria-valuetext", cells);
    this.#root.querySelector("output").textContent = this.#size;
    this.view.showNames = this.#fields.names.checked;
    this.view.showCells = this.#fields.cells.checked;
    this.view.mirror = this.#fields.mirror.value;
    this.view.refresh();
  }

  #changed() {
    this.view.refresh();
    const { painting } = this;
    this.#root.querySelector("[data-do=undo]").disabled = !painting.canUndo;
    this.#root.querySelector("[data-do=redo]").disabled = !painting.canRedo;
    this.#root.querySelector("[data-do=clear]").disabled = painting.isBlank;
    const yours = painting.labels.every((label) => label !== VOID);
    this.#root.querySelector("[data-do=take-over]").disabled = !this.ghost || yours;
    if (!painting.open) this.#list();
  }

  /** The classes that are painted, with their shares. */
  #list() {
    const items = shares(this.painting.labels).map(([label, share]) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      const known = this.classes.named(label);
      if (known) swatch.style.background = known.colour;
      item.append(swatch, `${known?.name ?? "left to the model"} ${Math.round(100 * share) || "< 1"} %`);
      return item;
    });
    this.#root.querySelector(".shares").replaceChildren(...items);
  }

  #button(name, act) {
    this.#root.querySelector(`[data-do=${name}]`).addEventListener("click", act);
  }

  #say(what) {
    this.dispatchEvent(new Event(what));
  }
}
