// The page that `act sinks --out map.html` writes, in the file itself: colours the prompt by a head, lists its sinks, lets heads be chosen.
import "./page.css";
import { columnLimit } from "../../src/core/act.js";
import { cssColour, readableInk, sequentialPalette } from "../../src/core/picture/colour.js";
import { largest, paletteIndex, readable, type Scale } from "../../src/core/picture/scale.js";
import type { PageData } from "../../src/core/sinks/html.js";
import {
  allSinksAt,
  averageMeans,
  boundsOf,
  meansOf,
  rolesOf,
  sinkMasses,
  viewedSinks,
  visibleToken,
} from "../../src/core/sinks/values.js";
import { h } from "../dom.js";

const byId = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;

const { tokens, layers, heads, threshold, means } = JSON.parse(byId("data").textContent ?? "") as PageData;
const map = {
  tokens,
  layers,
  heads,
  columnMeans: new Float32Array(Uint8Array.from(atob(means), (c) => c.charCodeAt(0)).buffer),
  sinks: [],
};
const limit = columnLimit(threshold, tokens.length);
const bounds = boundsOf(limit, tokens.length);
const average = averageMeans(map);
const masses = sinkMasses(map, threshold, false);
const sinks = allSinksAt(map, threshold);

const dark = matchMedia("(prefers-color-scheme: dark)");
const grid = byId<HTMLCanvasElement>("grid");
const wide = Math.max(4, Math.min(40, Math.floor(380 / heads)));
const high = Math.max(4, Math.min(18, Math.floor(380 / layers)));
grid.width = heads * wide;
grid.height = layers * high;
const spans = tokens.map((text) => h("span", { class: text.includes("\n") ? "end" : "" }, visibleToken(text)));
byId("tokens").append(...spans);
/** layer x heads + head; -1: the average over all heads. */
let chosen = -1;

function draw(): void {
  drawGrid();
  const values = chosen < 0 ? average : meansOf(map, Math.floor(chosen / heads), chosen % heads);
  const found = sinks[chosen];
  byId("chosen").textContent = found
    ? `Layer ${found.layer}, head ${found.head}: mass on later sinks ${(masses[chosen] as number).toFixed(3)}.`
    : "Average over all heads.";
  byId("legend").textContent =
    `Coloured by column mean, 0 to ${readable(largest(values))}; underlined: a sink, above the threshold of ${readable(limit)} and judged by at least 8 tokens that see it.`;
  byId("sinks-title").textContent = found ? "Sinks of this head" : "Sinks of the average over all heads";
  const roles = rolesOf(found ?? viewedSinks(average, limit, bounds));
  const scale: Scale = { kind: "linear", max: largest(values) };
  const palette = sequentialPalette(dark.matches ? "dark" : "light");
  spans.forEach((span, key) => {
    const value = values[key] as number;
    const paper = palette[paletteIndex(value, scale)] ?? [0, 0, 0];
    span.style.background = cssColour(paper);
    span.style.color = cssColour(readableInk(paper));
    const role = roles.get(key);
    span.title = `${key}: ${readable(value)}${role ? `, ${role}` : ""}`;
    span.classList.toggle("sink", role === "sink" || role === "initial sink");
  });
  const lines = [...roles].filter(([, role]) => role !== "not judged").sort(([a], [b]) => a - b);
  byId("sinks").replaceChildren(
    ...lines.map(([key, role]) => {
      const cells = [String(key), visibleToken(tokens[key] ?? ""), (values[key] as number).toPrecision(4), role];
      return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
    }),
  );
}

function drawGrid(): void {
  const context = grid.getContext("2d");
  if (!context) return;
  const scale: Scale = { kind: "linear", max: largest(masses) };
  const palette = sequentialPalette(dark.matches ? "dark" : "light");
  const left = (at: number) => (at % heads) * wide;
  const top = (at: number) => Math.floor(at / heads) * high;
  masses.forEach((mass, at) => {
    context.fillStyle = cssColour(palette[paletteIndex(mass, scale)] ?? [0, 0, 0]);
    context.fillRect(left(at), top(at), wide, high);
  });
  if (chosen < 0) return;
  context.lineWidth = 2;
  context.strokeStyle = dark.matches ? "#fff" : "#000";
  context.strokeRect(left(chosen) + 1, top(chosen) + 1, wide - 2, high - 2);
}

function choose(at: number): void {
  if (at < -1 || at >= layers * heads) return;
  chosen = at;
  draw();
}

grid.addEventListener("click", (event) => {
  const box = grid.getBoundingClientRect();
  const head = Math.min(heads - 1, Math.floor(((event.clientX - box.left) / box.width) * heads));
  const layer = Math.min(layers - 1, Math.floor(((event.clientY - box.top) / box.height) * layers));
  choose(layer * heads + head);
});
grid.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  choose(chosen < 0 ? 0 : Math.max(0, chosen + step));
});
byId("all").addEventListener("click", () => choose(-1));
dark.addEventListener("change", draw);
draw();
