import type { OpFigures } from "./op.js";

const WIDTH = 640;
const HEIGHT = 400;
const LEFT = 64;
const RIGHT = 190;
const TOP = 20;
const BOTTOM = 44;
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];

/** Milliseconds over keys, both logarithmic, one line per device and number of rows; the grey lines grow in proportion to the keys. */
export function plot(figures: readonly OpFigures[]): string {
  const keys = figures.map((one) => one.keys);
  const times = figures.map((one) => one.milliseconds);
  const [left, right] = [Math.min(...keys), Math.max(...keys)];
  const [low, high] = [10 ** Math.floor(Math.log10(Math.min(...times))), 10 ** Math.ceil(Math.log10(Math.max(...times)))];
  const x = (key: number) => LEFT + (Math.log(key / left) / Math.log(right / left)) * (WIDTH - LEFT - RIGHT);
  const y = (time: number) => HEIGHT - BOTTOM - (Math.log(time / low) / Math.log(high / low)) * (HEIGHT - TOP - BOTTOM);
  const text = (at: [number, number], words: string, anchor = "middle") =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}">${words}</text>`;

  const parts: string[] = [];
  for (let time = low; time <= high; time *= 10) {
    parts.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(time)}" y2="${y(time)}" stroke="#ddd"/>`);
    parts.push(text([LEFT - 6, y(time) + 4], `${Number(time.toPrecision(1))} ms`, "end"));
    const end = Math.min(high, time * (right / left));
    parts.push(
      `<line x1="${x(left)}" y1="${y(time)}" x2="${x((left * end) / time)}" y2="${y(end)}" stroke="#bbb" stroke-dasharray="2 4"/>`,
    );
  }
  for (const key of new Set(keys)) parts.push(text([x(key), HEIGHT - BOTTOM + 18], `${key} keys`));
  const lines = new Map<string, OpFigures[]>();
  for (const one of figures) {
    const name = `${one.device.replace(/ \(.*/, "")}, ${one.rows === 1 ? "1 row" : `${one.rows} rows`}`;
    lines.set(name, [...(lines.get(name) ?? []), one]);
  }
  [...lines].forEach(([name, points], i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = points.map((one) => `${x(one.keys)},${y(one.milliseconds)}`).join(" ");
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const one of points) parts.push(`<circle cx="${x(one.keys)}" cy="${y(one.milliseconds)}" r="3" fill="${colour}"/>`);
    const last = points.at(-1) as OpFigures;
    parts.push(`<g fill="${colour}">${text([x(last.keys) + 10, y(last.milliseconds) + 4], name, "start")}</g>`);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>${parts.join("")}</svg>\n`;
}
