/**
 * What the panels cost in a real browser (issue 6, section 4): `node scripts/run.mjs bench panels`. The browser runs without a GPU
 * here, so painting is done by the CPU; a desktop is faster.
 */
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { quantile } from "../../src/core/numbers/timing.js";
import { openBed } from "../panels/bed.js";
import { clickIn, named, openHead, pointIn } from "../panels/driver.js";

/** Wall time, which other work on the machine lengthens, and the renderer's own CPU time per round, which it hardly does. */
interface Spread {
  p50: number;
  p95: number;
  n: number;
  cpuMs: number;
}

export interface PanelFigures {
  /** 32 x 32 heads x 4096 tokens, from the data's arrival to the frame that shows it. Wanted: under 100 ms. */
  mapOnScreenMs: Spread;
  /** Pointer moving over a heatmap. Wanted: 60 frames a second, that is under 16.7 ms of work a frame (CPU time of the renderer, painting included). */
  hover: { framesPerSecond: number; workMsPerFrame: number };
  /** One head of 32k tokens, from its arrival to the frame that shows it. Wanted: under 200 ms. */
  headOnScreenMs: Spread;
  /** Renderer process before and after 120 moves through 32k tokens. Wanted: no growth beyond the tiles' bound. */
  scrolling: { beforeBytes: number; afterBytes: number; boundBytes: number; moves: number };
  /** Search events at ten a second. Wanted: under 5 % of a core. */
  searchEvents: { shareOfCore: number; seconds: number };
}

const ROUNDS = 12;

export async function run(): Promise<PanelFigures> {
  const bed = await openBed();
  try {
    const long = await bed.open("sinks", { case: "long" });
    await named(long, "heads").waitFor({ timeout: 60_000 });
    const mapOnScreen = await arrivals(long, "map", ROUNDS);
    await openHead(long, 9, 0, 32, 32);
    await long.waitForTimeout(1500);
    const hover = await hovering(long);
    await long.close();

    const huge = await bed.open("sinks", { case: "huge" });
    await named(huge, "heads").waitFor({ timeout: 60_000 });
    await openHead(huge, 0, 0, 8, 8);
    await huge.waitForTimeout(4000);
    const headOnScreen = await arrivals(huge, "matrix", ROUNDS);
    const scrolling = await scroll(huge);
    await huge.close();

    const search = await bed.open("calibrate", { case: "running" });
    await search.waitForTimeout(1500);
    const searchEvents = await share(search, 10);
    return {
      mapOnScreenMs: mapOnScreen,
      hover,
      headOnScreenMs: headOnScreen,
      scrolling,
      searchEvents,
    };
  } finally {
    await bed.close();
  }
}

/** Hands the last message of a type over again, as new, and waits for the frame after it. */
async function arrivals(page: Page, type: "map" | "matrix", rounds: number): Promise<Spread> {
  const times: number[] = [];
  const { cpuSeconds } = await rendererOf(page);
  const before = cpuSeconds();
  for (let round = 0; round < rounds; round++) {
    times.push(
      await page.evaluate(
        ([kind, index]) =>
          (globalThis as unknown as { fixture: { again(kind: string, index: number): Promise<number> } }).fixture.again(kind, index),
        [type, round] as const,
      ),
    );
    await page.waitForTimeout(150);
  }
  return { p50: quantile(times, 0.5), p95: quantile(times, 0.95), n: times.length, cpuMs: (1000 * (cpuSeconds() - before)) / rounds };
}

async function hovering(page: Page): Promise<PanelFigures["hover"]> {
  const from = await pointIn(page, "heatmap", 0.05, 0.95);
  const to = await pointIn(page, "heatmap", 0.6, 0.7);
  await page.mouse.move(from.x, from.y);
  const { cpuSeconds } = await rendererOf(page);
  const counting = page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const world = globalThis as unknown as { requestAnimationFrame(callback: (time: number) => void): void };
        let frames = 0;
        const started = performance.now();
        const tick = () => {
          frames++;
          if (performance.now() - started < 3000) world.requestAnimationFrame(tick);
          else resolve((1000 * frames) / (performance.now() - started));
        };
        world.requestAnimationFrame(tick);
      }),
  );
  const before = cpuSeconds();
  const started = Date.now();
  for (let step = 0; Date.now() - started < 2900; step++) {
    const t = (step % 100) / 100;
    await page.mouse.move(from.x + (to.x - from.x) * t, from.y + (to.y - from.y) * t);
  }
  const framesPerSecond = await counting;
  const work = cpuSeconds() - before;
  return { framesPerSecond, workMsPerFrame: (1000 * work) / (framesPerSecond * 3) };
}

async function scroll(page: Page): Promise<PanelFigures["scrolling"]> {
  const { residentBytes } = await rendererOf(page);
  for (let press = 0; press < 5; press++) await named(page, "zoom-in").click();
  await clickIn(page, "heatmap", 0.1, 0.9);
  await page.keyboard.press("Escape");
  await page.waitForTimeout(3000);
  const beforeBytes = residentBytes();
  const moves = 120;
  for (let move = 0; move < moves; move++) {
    await named(page, "heatmap").press(move % 2 === 0 ? "PageDown" : "Control+End");
    if (move % 3 === 0) await named(page, "heatmap").press("Control+Home");
    await named(page, "later")
      .click({ timeout: 1000 })
      .catch(() => named(page, "earlier").click());
    await page.waitForTimeout(60);
  }
  await page.waitForTimeout(3000);
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  await page.waitForTimeout(1000);
  return { beforeBytes, afterBytes: residentBytes(), boundBytes: 8 * 1024 * 1024 * 4, moves };
}

/** What the kernel knows of the page's renderer process: memory, and CPU time, which other work on the machine does not lengthen. */
interface Renderer {
  residentBytes(): number;
  cpuSeconds(): number;
}

/** Clock ticks a second in /proc/PID/stat; Linux has counted in these since long ago, whatever its timer. */
const TICKS = 100;

async function rendererOf(page: Page): Promise<Renderer> {
  const session = await (page.context().browser() as Browser).newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const memory = (pid: number) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  const renderers = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const pid = renderers.sort((one, other) => memory(other) - memory(one))[0];
  if (pid === undefined) throw new Error("The page has no renderer process.");
  return {
    residentBytes: () => memory(pid),
    cpuSeconds: () => {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    },
  };
}

async function share(page: Page, seconds: number): Promise<PanelFigures["searchEvents"]> {
  const { cpuSeconds } = await rendererOf(page);
  const before = cpuSeconds();
  await page.waitForTimeout(seconds * 1000);
  return { shareOfCore: (cpuSeconds() - before) / seconds, seconds };
}
