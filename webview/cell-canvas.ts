import { h } from "./dom.js";
import { type Cell, cellAt, clamp, type Size } from "./paint/hit.js";
import type { Raster } from "./paint/raster.js";

/** A rectangle of the grid, in cells. */
export interface Area {
  row: number;
  column: number;
  rows: number;
  columns: number;
}

/** A raster (one pixel per value) and the cells that it covers. */
export interface Picture {
  image: HTMLCanvasElement;
  area: Area;
}

/** A rectangle on screen, CSS pixels from the canvas's corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface CellCanvasOptions {
  /** Says what the grid is and which keys work. */
  label: string;
  name: string;
  /** Called once per frame at most; null when the pointer leaves. */
  onHover(cell: Cell | null): void;
  onPick(cell: Cell): void;
  /** Returns true where the key was used. */
  onKey(event: KeyboardEvent): boolean;
  /** `x`, `y` 0..1 of the canvas. */
  onWheel?(event: WheelEvent, x: number, y: number): void;
  /** Moves the view by cells while the pointer drags. */
  onDrag?(rows: number, columns: number): void;
  /** Draws marks over the cells; `boxOf` places an area of the grid on screen. */
  overlay(context: CanvasRenderingContext2D, boxOf: (area: Area) => Box): void;
}

/** Pointer movement (CSS pixels) that turns a click into a drag. */
const DRAG_DISTANCE = 4;

/**
 * A grid of cells on two canvases: rasters below, drawn only when they change, and marks above, drawn on every hover. No object exists
 * per cell, and the browser does the scaling.
 */
export class CellCanvas {
  readonly element: HTMLElement;
  readonly #cells = h("canvas", { class: "cells", "aria-hidden": "true" });
  readonly #marks: HTMLCanvasElement;
  #view: Area = { row: 0, column: 0, rows: 1, columns: 1 };
  #pictures: readonly Picture[] = [];
  #frame = 0;
  #stale = { cells: true, marks: true };
  #pointer: { x: number; y: number } | null | undefined;
  #drag: { x: number; y: number; moved: boolean } | null = null;

  constructor(private readonly options: CellCanvasOptions) {
    this.#marks = h("canvas", { class: "marks", tabindex: 0, role: "application", "aria-label": options.label, "data-name": options.name });
    this.element = h("div", { class: "cell-canvas" }, this.#cells, this.#marks);
    new ResizeObserver(() => this.redraw()).observe(this.element);
    this.#listen();
  }

  get size(): Size {
    return { rows: this.#view.rows, columns: this.#view.columns };
  }

  /** The element that takes the focus. */
  get focusable(): HTMLElement {
    return this.#marks;
  }

  describedBy(id: string): void {
    this.#marks.setAttribute("aria-describedby", id);
  }

  /** Shows part of the grid: `pictures` are drawn in order, later ones over earlier ones. */
  show(view: Area, pictures: readonly Picture[]): void {
    this.#view = view;
    this.#pictures = pictures;
    this.redraw();
  }

  redraw(): void {
    this.#stale.cells = true;
    this.redrawMarks();
  }

  redrawMarks(): void {
    this.#stale.marks = true;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    this.#frame = 0;
    if (this.#pointer !== undefined) {
      const at = this.#pointer;
      this.#pointer = undefined;
      this.options.onHover(at && this.#cellAt(at.x, at.y));
    }
    const width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (width === 0 || height === 0) return;
    if (this.#stale.cells) this.#drawCells(width, height);
    if (this.#stale.marks) {
      const context = fit(this.#marks, width, height);
      this.options.overlay(context, (area) => this.#boxOf(area, width, height));
    }
    this.#stale = { cells: false, marks: false };
  }

  #drawCells(width: number, height: number): void {
    const context = fit(this.#cells, width, height);
    context.imageSmoothingEnabled = false;
    for (const { image, area } of this.#pictures) {
      const box = this.#boxOf(area, width, height);
      context.drawImage(image, box.x, box.y, box.width, box.height);
    }
  }

  #boxOf(area: Area, width: number, height: number): Box {
    const { row, column, rows, columns } = this.#view;
    return {
      x: ((area.column - column) / columns) * width,
      y: ((area.row - row) / rows) * height,
      width: (area.columns / columns) * width,
      height: (area.rows / rows) * height,
    };
  }

  #cellAt(clientX: number, clientY: number): Cell | null {
    const box = this.#marks.getBoundingClientRect();
    const cell = cellAt(clientX - box.left, clientY - box.top, box.width, box.height, this.#view);
    return cell && { row: cell.row + this.#view.row, column: cell.column + this.#view.column };
  }

  #hover(at: { x: number; y: number } | null): void {
    this.#pointer = at;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #listen(): void {
    const canvas = this.#marks;
    canvas.addEventListener("pointermove", (event) => {
      if (this.#drag && this.options.onDrag && this.#dragged(event)) return;
      this.#hover({ x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointerleave", () => this.#hover(null));
    canvas.addEventListener("pointerdown", (event) => {
      this.#drag = { x: event.clientX, y: event.clientY, moved: false };
      if (this.options.onDrag) canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointercancel", () => {
      this.#drag = null;
    });
    canvas.addEventListener("pointerup", (event) => {
      const click = this.#drag && !this.#drag.moved;
      this.#drag = null;
      const cell = click ? this.#cellAt(event.clientX, event.clientY) : null;
      if (cell) this.options.onPick(cell);
    });
    canvas.addEventListener("keydown", (event) => {
      if (!event.altKey && !event.metaKey && this.options.onKey(event)) event.preventDefault();
    });
    canvas.addEventListener("focus", () => this.redrawMarks());
    canvas.addEventListener("blur", () => this.redrawMarks());
    const { onWheel } = this.options;
    if (onWheel) {
      canvas.addEventListener(
        "wheel",
        (event) => {
          if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
          event.preventDefault();
          const box = canvas.getBoundingClientRect();
          onWheel(event, clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1));
        },
        { passive: false },
      );
    }
  }

  /** Passes whole cells of movement on and keeps the rest for the next event. */
  #dragged(event: PointerEvent): boolean {
    const drag = this.#drag;
    if (!drag) return false;
    if (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < DRAG_DISTANCE) return false;
    drag.moved = true;
    const cellWidth = this.element.clientWidth / this.#view.columns;
    const cellHeight = this.element.clientHeight / this.#view.rows;
    const columns = Math.trunc((drag.x - event.clientX) / cellWidth);
    const rows = Math.trunc((drag.y - event.clientY) / cellHeight);
    drag.x -= columns * cellWidth;
    drag.y -= rows * cellHeight;
    if (rows !== 0 || columns !== 0) this.options.onDrag?.(rows, columns);
    return true;
  }
}

/** A raster as something that can be drawn. */
export function imageOf(raster: Raster): HTMLCanvasElement {
  const image = document.createElement("canvas");
  image.width = raster.width;
  image.height = raster.height;
  image.getContext("2d")?.putImageData(new ImageData(raster.data, raster.width, raster.height), 0, 0);
  return image;
}

/** Sizes a canvas to the device's pixels, clears it, and returns a context that counts in CSS pixels. */
export function fit(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio;
  const deviceWidth = Math.round(width * ratio);
  const deviceHeight = Math.round(height * ratio);
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) {
    canvas.width = deviceWidth;
    canvas.height = deviceHeight;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
