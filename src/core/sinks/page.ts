/** Style and script of the page that `toHtml` writes. Text, because core has no DOM; the page's own test runs it in a browser. */

export const PAGE_STYLE = `
:root { color-scheme: light dark; --paper: #fff; --ink: #1f1f1f; --quiet: #595959; --line: #ddd; --accent: #005fb8; }
@media (prefers-color-scheme: dark) { :root { --paper: #1f1f1f; --ink: #e4e4e4; --quiet: #a8a8a8; --line: #3c3c3c; --accent: #4daafc; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 15px; margin: 0 0 4px; }
.quiet, .note { color: var(--quiet); margin: 0 0 8px; } .note { border-left: 3px solid var(--accent); padding-left: 10px; margin: 12px 0 20px; }
.columns { display: flex; flex-wrap: wrap; gap: 32px; margin: 24px 0; }
canvas { image-rendering: pixelated; border: 1px solid var(--line); cursor: crosshair; } canvas:focus-visible { outline: 2px solid var(--accent); }
table { border-collapse: collapse; } th, td { text-align: left; padding: 2px 14px 2px 0; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); } code, #tokens { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.scroll { max-height: 320px; overflow: auto; } .pair { display: flex; gap: 24px; }
#tokens { line-height: 1.9; overflow-wrap: anywhere; max-height: 320px; overflow: auto; } #tokens span { padding: 1px 2px; border-radius: 3px; margin-right: 1px; } #tokens span.end::after { content: "\\a"; white-space: pre; } #tokens span.sink { box-shadow: inset 0 -2px var(--accent); }
button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 4px; padding: 3px 10px; cursor: pointer; }
`;

export const PAGE_SCRIPT = `"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const keys = data.tokens.length, heads = data.heads, layers = data.layers;
  const means = new Float32Array(Uint8Array.from(atob(data.means), (c) => c.charCodeAt(0)).buffer);
  const average = new Float32Array(keys);
  for (let i = 0; i < means.length; i++) average[i % keys] += means[i] / (layers * heads);
  const masses = new Float32Array(layers * heads);
  for (let h = 0; h < masses.length; h++) {
    let seen = false;
    for (let k = 0; k < keys; k++) {
      const mean = means[h * keys + k];
      if (!(mean > data.limit)) continue;
      if (seen) masses[h] += mean * (keys - k) / keys;
      seen = true;
    }
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palette = () => data.palettes[dark.matches ? "dark" : "light"];
  const colour = (value, max) => palette()[Math.round(255 * Math.min(1, Math.max(0, value / max)))];
  const ink = (css) => {
    const linear = [1, 3, 5].map((at) => { const c = parseInt(css.slice(at, at + 2), 16) / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 ? "#000" : "#fff";
  };
  const top = (values) => values.reduce((a, b) => Math.max(a, b), 1e-6);
  const grid = document.getElementById("grid");
  const wide = Math.max(4, Math.min(40, Math.floor(380 / heads))), high = Math.max(4, Math.min(18, Math.floor(380 / layers)));
  grid.width = heads * wide; grid.height = layers * high;
  let chosen = -1;
  function draw() {
    const paint = grid.getContext("2d"), max = top(masses);
    masses.forEach((mass, h) => { paint.fillStyle = colour(mass, max); paint.fillRect((h % heads) * wide, Math.floor(h / heads) * high, wide, high); });
    if (chosen >= 0) {
      paint.lineWidth = 2; paint.strokeStyle = dark.matches ? "#fff" : "#000";
      paint.strokeRect((chosen % heads) * wide + 1, Math.floor(chosen / heads) * high + 1, wide - 2, high - 2);
    }
    const row = chosen < 0 ? average : means.subarray(chosen * keys, (chosen + 1) * keys), most = top(row);
    document.getElementById("chosen").textContent = chosen < 0 ? "Average over all heads." :
      "Layer " + Math.floor(chosen / heads) + ", head " + (chosen % heads) + ": mass on later sinks " + masses[chosen].toFixed(3) + ".";
    document.getElementById("legend").textContent = "Coloured by column mean, 0 to " + most.toFixed(3) + "; underlined: above the threshold of " + data.limit.toPrecision(3) + ".";
    document.getElementById("sinks-title").textContent = chosen < 0 ? "Tokens above the threshold on average" : "Sinks of this head";
    const spans = document.getElementById("tokens").children, body = document.getElementById("sinks");
    body.replaceChildren();
    let seen = false;
    for (let k = 0; k < keys; k++) {
      const css = colour(row[k], most), sink = row[k] > data.limit, span = spans[k];
      span.style.background = css; span.style.color = ink(css); span.title = k + ": " + row[k].toPrecision(3); span.classList.toggle("sink", sink);
      if (!sink) continue;
      const line = body.insertRow();
      for (const text of [k, data.tokens[k], row[k].toPrecision(4), chosen < 0 ? "" : seen ? "sink" : "initial sink"]) line.insertCell().textContent = text;
      seen = true;
    }
  }
  const tokens = document.getElementById("tokens");
  for (const text of data.tokens) { const span = document.createElement("span"); span.textContent = text; span.className = text.includes("\\u23ce") ? "end" : ""; tokens.append(span); }
  grid.addEventListener("click", (event) => {
    const box = grid.getBoundingClientRect();
    const head = Math.min(heads - 1, Math.floor((event.clientX - box.left) / box.width * heads)), layer = Math.min(layers - 1, Math.floor((event.clientY - box.top) / box.height * layers));
    chosen = layer * heads + head; draw();
  });
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = chosen < 0 ? 0 : chosen + step;
    if (next >= 0 && next < layers * heads) { chosen = next; draw(); }
  });
  document.getElementById("all").addEventListener("click", () => { chosen = -1; draw(); });
  dark.addEventListener("change", draw);
  draw();
})();
`;
