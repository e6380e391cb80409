/** What panel tests do again and again: wait, read the fixture's record, point, press keys, read tables. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Locator, Page } from "playwright-core";
import type { Fixture } from "../../webview/fixtures/fixture.js";

type Holder = { fixture: Fixture };

/**
 * Tries an assertion until it holds: much of a panel comes later than the click that asks for it (events, frames, answers of the host).
 * @returns what the assertion returned
 * @throws its last error, once the time is up
 */
export async function eventually<T>(assertion: () => Promise<T>, milliseconds = 10_000): Promise<T> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
    }
    await sleep(20);
  }
}

/** Text of an element, once it matches. */
export async function says(element: Locator, pattern: RegExp): Promise<string> {
  return await eventually(async () => {
    const text = (await element.textContent()) ?? "";
    assert.match(text, pattern);
    return text;
  });
}

/** Waits until the browser has drawn what was changed before. */
export async function drawn(page: Page): Promise<void> {
  await page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        (globalThis as unknown as { requestAnimationFrame(callback: () => void): void }).requestAnimationFrame(() => resolve());
      }),
  );
}

/** Pixels by which the page is wider than its window: above 0, something is cut off or must be scrolled to. */
export async function overhang(page: Page): Promise<number> {
  return await page.evaluate("document.documentElement.scrollWidth - window.innerWidth");
}

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

/** Opens (layer, head) of a grid of layers x heads by pointer, and waits until its attention is drawn. */
export async function openHead(page: Page, layer: number, head: number, layers = 30, heads = 9): Promise<void> {
  await clickIn(page, "heads", (head + 0.5) / heads, (layer + 0.5) / layers);
  await page.getByRole("heading", { name: `Layer ${layer}, head ${head}`, exact: true }).waitFor();
  // Attached, for it is empty and so not visible where there is nothing to say.
  await page.locator(".head [role=status]").filter({ hasNotText: "Asking the engine" }).waitFor({ state: "attached" });
  await drawn(page);
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
