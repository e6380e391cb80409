/** What panel tests do again and again: read the fixture's record, point, press keys, read tables. */
import type { Page } from "playwright-core";
import type { Fixture } from "../../webview/fixtures/fixture.js";

type Holder = { fixture: Fixture };

/** Messages of one type that the panel sent, oldest first; bytes as arrays of numbers. */
export async function sent(page: Page, type: string): Promise<Record<string, unknown>[]> {
  return await page.evaluate((wanted) => {
    const { fixture } = globalThis as unknown as Holder;
    return (fixture.sent as Record<string, unknown>[])
      .filter((message) => message.type === wanted)
      .map((message) => (message.bytes instanceof Uint8Array ? { ...message, bytes: Array.from(message.bytes) } : message));
  }, type);
}

export async function pushed(page: Page, message: unknown): Promise<void> {
  await page.evaluate((one) => (globalThis as unknown as Holder).fixture.push(one), message);
}

export function named(page: Page, name: string) {
  return page.locator(`[data-name="${name}"]`);
}

/** A point of an element, 0..1 along each side. */
export async function pointIn(page: Page, name: string, x: number, y: number): Promise<{ x: number; y: number }> {
  await named(page, name).scrollIntoViewIfNeeded();
  const box = await named(page, name).boundingBox();
  if (!box) throw new Error(`${name} is not on screen.`);
  return { x: box.x + box.width * x, y: box.y + box.height * y };
}

export async function clickIn(page: Page, name: string, x: number, y: number): Promise<void> {
  const at = await pointIn(page, name, x, y);
  await page.mouse.click(at.x, at.y);
}

export async function moveIn(page: Page, name: string, x: number, y: number): Promise<void> {
  const at = await pointIn(page, name, x, y);
  await page.mouse.move(at.x, at.y);
}

/** Opens (layer, head) of a grid of layers x heads by pointer. */
export async function openHead(page: Page, layer: number, head: number, layers = 30, heads = 9): Promise<void> {
  await clickIn(page, "heads", (head + 0.5) / heads, (layer + 0.5) / layers);
  await page.getByRole("heading", { name: `Layer ${layer}, head ${head}`, exact: true }).waitFor();
}

/** The lines of a table's body, cell by cell. */
export async function table(page: Page, name: string): Promise<string[][]> {
  return await named(page, name)
    .locator("tbody tr")
    .evaluateAll((rows) =>
      rows.map((row) =>
        Array.from((row as unknown as { children: Iterable<{ textContent: string | null }> }).children, (cell) => cell.textContent ?? ""),
      ),
    );
}

/** Chooses an entry of one of the toolkit's dropdowns by its value. */
export async function choose(page: Page, name: string, value: string): Promise<void> {
  await named(page, name).click();
  await named(page, name).locator(`vscode-option[value="${value}"]`).click();
}

/** Colour of a pixel of a canvas of the panel, 0..1 along each side; `canvas` chooses rasters or marks. */
export async function pixel(page: Page, name: string, x: number, y: number, layer: "cells" | "marks" = "cells"): Promise<number[]> {
  return await named(page, name).evaluate(
    (element, [u, v, which]) => {
      type Canvas = {
        width: number;
        height: number;
        getContext(kind: "2d"): { getImageData(x: number, y: number, w: number, h: number): { data: Uint8ClampedArray } };
      };
      const canvas = (element as unknown as { parentElement: { querySelector(selector: string): Canvas } }).parentElement.querySelector(
        `.${which}`,
      );
      return Array.from(canvas.getContext("2d").getImageData(Math.floor(canvas.width * u), Math.floor(canvas.height * v), 1, 1).data);
    },
    [x, y, layer] as const,
  );
}
