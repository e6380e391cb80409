import type { Threshold } from "../../protocol/calibration.js";
import type { TokenProbability } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { base64 } from "../picture/png.js";
import { escapeXml } from "./figure.js";
import { checkSinkData, NOT_AN_EXPLANATION, type SinkData, visibleToken } from "./values.js";

export interface PageOptions {
  threshold?: Threshold;
  title?: string;
  /** What is said under the title: model, head set, settings. */
  subtitle?: string;
}

/** The bundle of webview/sink-page, which the page carries inside it. */
export interface PageParts {
  script: string;
  style: string;
}

/** What the page's script is given. */
export interface PageData {
  tokens: string[];
  layers: number;
  heads: number;
  threshold: Threshold;
  /** Column means, [layer][head][key], float32 in base64. */
  means: string;
}

/** Values that a browser opens as one page without trouble (about 90 MB of text). */
const MAX_VALUES = 16 * 1024 * 1024;

/**
 * One file that opens in any browser and asks nothing of the network: tokens coloured by the chosen head, the layers x heads grid to
 * choose it from, the head's sinks as a table, and the next token with and without calibration.
 * @throws ActError where the map is too large for one page.
 */
export function toHtml(
  data: SinkData,
  { script, style }: PageParts,
  { threshold = { mode: "fixed", value: 0.1 }, title = "Attention sinks", subtitle }: PageOptions = {},
): string {
  checkSinkData(data);
  if (data.columnMeans.length > MAX_VALUES) {
    throw new ActError("usage", `${data.columnMeans.length} column means are too many for one web page; write a .csv or .json instead.`);
  }
  const { columnMeans } = data;
  const payload: PageData = {
    tokens: data.tokens,
    layers: data.layers,
    heads: data.heads,
    threshold,
    means: base64(new Uint8Array(columnMeans.buffer, columnMeans.byteOffset, columnMeans.byteLength)),
  };
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeXml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escapeXml(title)}</h1>
${subtitle ? `<p class="quiet">${escapeXml(subtitle)}</p>` : ""}
<p class="note">${escapeXml(NOT_AN_EXPLANATION)}</p>
<section aria-labelledby="prompt-title">
<h2 id="prompt-title">Prompt, ${data.tokens.length} tokens</h2>
<p class="quiet" id="legend"></p>
<div id="tokens" tabindex="0" role="group" aria-labelledby="prompt-title"></div>
</section>
<div class="columns">
<section aria-labelledby="heads-title">
<h2 id="heads-title">Heads</h2>
<p class="quiet">Mass on later sinks. Rows are layers, columns heads; click, or arrow keys.</p>
<canvas id="grid" tabindex="0" role="application" aria-label="Layers by heads: arrow keys choose a head" aria-describedby="chosen"></canvas>
<p id="chosen" aria-live="polite"></p>
<p><button id="all" type="button">Average over all heads</button></p>
</section>
<section aria-labelledby="sinks-title">
<h2 id="sinks-title">Sinks of this head</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of sinks"><table><thead><tr><th scope="col">key</th><th scope="col">token</th><th scope="col">column mean</th><th scope="col">role</th></tr></thead><tbody id="sinks"></tbody></table></div>
</section>
${nextTokens(data)}
</div>
</main>
<script type="application/json" id="data">${JSON.stringify(payload).replaceAll("<", "\\u003c")}</script>
<script>${script.replaceAll("</", "<\\/")}</script>
</body>
</html>
`;
}

function nextTokens({ next }: SinkData): string {
  if (!next) return "";
  const list = (name: string, tokens: TokenProbability[]) =>
    `<table><caption>${name}</caption><tbody>${tokens
      .slice(0, 10)
      .map(
        (token) =>
          `<tr><td><code>${escapeXml(visibleToken(token.text))}</code></td><td>${(100 * token.probability).toFixed(1)} %</td></tr>`,
      )
      .join("")}</tbody></table>`;
  return `<section aria-labelledby="next-title"><h2 id="next-title">Next token</h2><div class="pair">${list("Without calibration", next.off)}${
    next.on ? list("With calibration", next.on) : ""
  }</div></section>`;
}
