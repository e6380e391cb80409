/** The arms of a confirmation as dots with intervals on one axis; zero is no heads. What it shows stands in the table below it, too. */
import { signedTenth, type Unit } from "../../src/core/verdict.js";
import type { EvidenceRow } from "./words.js";

const WIDTH = 560;
const LABEL = 190;
const RIGHT = 64;
const ROW = 24;
const AXIS = 40;

function svg(name: string, attributes: Record<string, string | number>, text?: string): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Round values across the axis, about five of them, zero among them where it lies inside. */
export function steps(from: number, to: number): number[] {
  const wanted = (to - from) / 5;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= wanted) ?? 10);
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, i) => (first + i) * step);
}

/** @param rows arms with a difference; the first one is the chosen set */
export function dots(rows: readonly EvidenceRow[], unit: Unit): SVGElement {
  const arms = rows.flatMap(({ name, difference, interval }) =>
    difference !== null && interval
      ? [{ name, value: unit.value(difference), low: unit.value(interval[0]), high: unit.value(interval[1]) }]
      : [],
  );
  const least = Math.min(0, ...arms.map(({ low }) => low));
  const most = Math.max(0, ...arms.map(({ high }) => high));
  const margin = 0.04 * (most - least || 1);
  const [from, to] = [least - margin, most + margin];
  const x = (value: number) => LABEL + ((value - from) / (to - from)) * (WIDTH - LABEL - RIGHT);
  const height = arms.length * ROW + AXIS;
  const root = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`,
    class: "dots",
    role: "img",
    "aria-label": `Difference to no heads, in ${unit.name}: ${arms.map(({ name, value, low, high }) => `${name} ${signedTenth(value)}, ${signedTenth(low)} to ${signedTenth(high)}`).join("; ")}`,
  });
  const bottom = arms.length * ROW;
  for (const tick of steps(from, to)) {
    root.append(
      svg("line", { x1: x(tick), x2: x(tick), y1: 0, y2: bottom, class: tick === 0 ? "zero" : "grid" }),
      svg(
        "text",
        { x: x(tick), y: bottom + 14, "text-anchor": "middle", class: "quiet" },
        tick === 0 ? "0" : signedTenth(tick).replace(/\.0$/, ""),
      ),
    );
  }
  root.append(
    svg("text", { x: x((from + to) / 2), y: bottom + 32, "text-anchor": "middle", class: "quiet" }, `difference to no heads, ${unit.name}`),
  );
  arms.forEach(({ name, value, low, high }, i) => {
    const y = i * ROW + ROW / 2;
    const sure = low > 0 ? "better" : high < 0 ? "worse" : "open";
    const arm = svg("g", { class: `arm ${sure}${i === 0 && rows[1]?.name === name ? " chosen" : ""}` });
    arm.append(
      svg("text", { x: LABEL - 10, y: y + 4, "text-anchor": "end" }, name.length > 30 ? `${name.slice(0, 29)}…` : name),
      svg("line", { x1: x(low), x2: x(high), y1: y, y2: y, class: "interval" }),
      svg("circle", { cx: x(value), cy: y, r: 4.5 }),
      svg("text", { x: WIDTH - RIGHT + 10, y: y + 4 }, signedTenth(value)),
    );
    root.append(arm);
  });
  return root;
}
