/**
 * How a scene is shown: the paint, below it the model's scene where the paint is void, and above it
 * cells, names and the tool's outline. It only shows; the truth are the labels.
 */

import { VOID, dab, over } from "./labels.js";
import { roomsOf } from "./names.js";

const SMALLEST = 22; // CSS pixels of a region's height that has room for its name

export class SceneView {
  #paint;
  #ghost;
  #overlay;
  #colours = new Uint32Array(256); // as canvases hold them: alpha, blue, green, red
  #names = new Map();
  #due = false;

  /**
   * Args:
   *     stage: holds the canvases .paint, .ghost and .overlay.
   *     side: cells of a side.
   *     grid: cells of the model's own grid along a side.
   *     classes: of the bundle.
   */
  constructor(stage, side, grid, classes) {
    [this.#paint, this.#ghost, this.#overlay] = ["paint", "ghost", "overlay"].map((name) =>
      stage.querySelector(`.${name}`),
    );
    this.side = side;
    this.grid = grid;
    this.showNames = true;
    this.showCells = false;
    this.labels = null;
    this.below = null; // the model's scene
    this.cursor = null; // {point, size}: an outline
    for (const { label, name, colour } of classes) {
      this.#names.set(label, name);
      const rgb = parseInt(colour.slice(1), 16);
      const [red, green, blue] = [rgb >> 16, (rgb >> 8) & 255, rgb & 255];
      this.#colours[label] = 0xff000000 + (blue << 16) + (green << 8) + red;
    }
    for (const canvas of [this.#paint, this.#ghost]) canvas.width = canvas.height = side;
    new ResizeObserver(() => this.refresh()).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.refresh());
  }

  /** Draw what has changed, with the next frame. */
  refresh() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#show(this.#paint, this.labels);
      this.#show(this.#ghost, this.below);
      this.#annotate();
    });
  }

  #show(canvas, labels) {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, this.side, this.side);
    if (!labels) return;
    const image = context.createImageData(this.side, this.side);
    const pixels = new Uint32Array(image.data.buffer);
    labels.forEach((label, n) => (pixels[n] = this.#colours[label])); // void: transparent
    context.putImageData(image, 0, 0);
  }

  #annotate() {
    const canvas = this.#overlay;
    const scale = window.devicePixelRatio;
    const width = canvas.clientWidth;
    canvas.width = canvas.height = Math.round(width * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const cell = width / this.side;
    if (this.showCells) this.#drawCells(context, width);
    if (this.showNames && this.labels) this.#drawNames(context, cell);
    if (this.cursor) this.#drawCursor(context, cell);
  }

  #drawCells(context, width) {
    context.strokeStyle = "rgb(128 128 128 / 0.45)";
    context.lineWidth = 1;
    context.beginPath();
    for (let n = 1; n < this.grid; n++) {
      const at = Math.round((n * width) / this.grid) + 0.5;
      context.moveTo(at, 0);
      context.lineTo(at, width);
      context.moveTo(0, at);
      context.lineTo(width, at);
    }
    context.stroke();
  }

  #drawNames(context, cell) {
    context.font = `500 12px ${getComputedStyle(this.#overlay).fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = "rgb(0 0 0 / 0.65)";
    context.fillStyle = "#fff";
    for (const { label, x, y, room, width } of roomsOf(over(this.labels, this.below), this.side)) {
      const name = this.#names.get(label);
      if (!name || 2 * room * cell < SMALLEST) continue;
      const half = context.measureText(name).width / 2 + 4;
      if (2 * half > width * cell) continue;
      const middle = Math.min(Math.max(x * cell, half), this.side * cell - half);
      context.strokeText(name, middle, y * cell);
      context.fillText(name, middle, y * cell);
    }
  }

  /** The border of the cells that a dab would paint. */
  #drawCursor(context, cell) {
    const { point, size } = this.cursor;
    const reach = size + 2;
    const map = new Uint8Array(reach * reach).fill(VOID);
    const middle = { x: reach >> 1, y: reach >> 1 };
    dab(map, reach, middle, size, 0);
    const path = new Path2D();
    const inside = (x, y) => map[y * reach + x] === 0;
    const edge = (x, y, dx, dy) => {
      path.moveTo((x + point.x - middle.x) * cell, (y + point.y - middle.y) * cell);
      path.lineTo((x + dx + point.x - middle.x) * cell, (y + dy + point.y - middle.y) * cell);
    };
    for (let y = 0; y < reach; y++) {
      for (let x = 0; x < reach; x++) {
        if (x && inside(x, y) !== inside(x - 1, y)) edge(x, y, 0, 1);
        if (y && inside(x, y) !== inside(x, y - 1)) edge(x, y, 1, 0);
      }
    }
    for (const [style, width] of [["rgb(0 0 0 / 0.7)", 3], ["#fff", 1.25]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke(path);
    }
  }
}
