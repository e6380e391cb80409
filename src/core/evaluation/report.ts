/** An evaluation for people: a table, and a plot of accuracies and paired differences as SVG and as one HTML page. */
import type { EvaluateResult, TaskResult } from "../../protocol/engine.js";

const ROW = 26;
const LEFT = 110;
const WIDTH = 360;
const GAP = 60;

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const percent = (value: number) => (100 * value).toFixed(1);
const signed = (value: number) => `${value > 0 ? "+" : ""}${percent(value)}`;

/** Two panels with a row a task: accuracy without (hollow) and with (solid), and the difference with its 95 % interval. */
export function evaluationSvg({ tasks }: EvaluateResult, title: string): string {
  const height = 70 + ROW * tasks.length + 30;
  const reach = Math.max(0.05, ...tasks.flatMap(({ interval }) => interval.map(Math.abs)));
  const x = (value: number) => LEFT + value * WIDTH;
  const middle = LEFT + WIDTH + GAP + WIDTH / 2;
  const dx = (value: number) => middle + (value / reach) * (WIDTH / 2);
  const bottom = 60 + ROW * tasks.length;
  const parts: string[] = [];
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(
      `<path d="M${x(tick)} 52V${bottom}" class="grid"/><text x="${x(tick)}" y="${bottom + 16}" class="tick">${100 * tick}</text>`,
    );
  }
  for (const tick of [-reach, 0, reach]) {
    parts.push(
      `<path d="M${dx(tick)} 52V${bottom}" class="${tick === 0 ? "zero" : "grid"}"/><text x="${dx(tick)}" y="${bottom + 16}" class="tick">${signed(tick)}</text>`,
    );
  }
  tasks.forEach((task, i) => {
    const y = 66 + ROW * i;
    const { name, n, baseline, calibrated, difference, interval } = task;
    parts.push(
      `<g><title>${escapeXml(`${name}: ${percent(baseline)} without, ${percent(calibrated)} with, n = ${n}`)}</title>`,
      `<text x="${LEFT - 10}" y="${y + 4}" class="name">${escapeXml(name)}</text>`,
      `<path d="M${x(baseline)} ${y}H${x(calibrated)}" class="move"/>`,
      `<circle cx="${x(baseline)}" cy="${y}" r="5" class="off"/><circle cx="${x(calibrated)}" cy="${y}" r="5" class="on"/>`,
      `<path d="M${dx(interval[0])} ${y}H${dx(interval[1])}M${dx(interval[0])} ${y - 4}v8M${dx(interval[1])} ${y - 4}v8" class="bar"/>`,
      `<circle cx="${dx(difference)}" cy="${y}" r="4" class="on"/></g>`,
    );
  });
  const width = LEFT + 2 * WIDTH + GAP + 30;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">`,
    "<style>text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}.name{text-anchor:end}.tick{text-anchor:middle;fill:#59636e}.grid{stroke:#d1d9e0}.zero{stroke:#59636e}.move{stroke:#0969da;stroke-opacity:.4;stroke-width:3}.off{fill:#fff;stroke:#0969da;stroke-width:2}.on{fill:#0969da}.bar{stroke:#0969da;stroke-width:1.5;fill:none}</style>",
    `<rect width="100%" height="100%" fill="#fff"/><text x="14" y="24" class="title">${escapeXml(title)}</text>`,
    `<text x="${LEFT}" y="44">Accuracy in per cent: without (hollow) and with the head set (solid)</text><text x="${LEFT + WIDTH + GAP}" y="44">Paired difference in points, 95 % interval</text>`,
    ...parts,
    "</svg>",
  ].join("\n");
}

const COLUMNS = [
  "task",
  "n",
  "shots",
  "without",
  "with",
  "difference",
  "95 % interval",
  "p",
  "too long",
  "letters without",
  "letters with",
  "contextual without",
  "contextual with",
] as const;

function cells(task: TaskResult): string[] {
  const { name, n, shots, baseline, calibrated, difference, interval, p, skipped, letters, contextual } = task;
  const pair = (both: { baseline: number; calibrated: number } | undefined) =>
    both ? [percent(both.baseline), percent(both.calibrated)] : ["", ""];
  return [
    name,
    String(n),
    String(shots),
    percent(baseline),
    percent(calibrated),
    signed(difference),
    `${signed(interval[0])} to ${signed(interval[1])}`,
    p < 0.001 ? "< 0.001" : p.toFixed(3),
    String(skipped),
    ...pair(letters),
    ...pair(contextual),
  ];
}

const RIVAL_COLUMNS = ["task", "rival", "n", "accuracy", "difference", "95 % interval"];

/** A row for each rival, and for what of the set's gain is left without any shift between labels. */
function rivalRows(tasks: readonly TaskResult[]): string[][] {
  return tasks.flatMap(({ name, n, rivals = [], biasFree }) => [
    ...rivals.map((rival) => [
      name,
      rival.name,
      String(rival.n),
      percent(rival.accuracy),
      signed(rival.difference),
      `${signed(rival.interval[0])} to ${signed(rival.interval[1])}`,
    ]),
    ...(biasFree
      ? [
          [
            name,
            `the set without bias (${biasFree.measure}; ${percent(biasFree.baseline)} without)`,
            String(n),
            percent(biasFree.calibrated),
            signed(biasFree.difference),
            `${signed(biasFree.interval[0])} to ${signed(biasFree.interval[1])}`,
          ],
        ]
      : []),
  ]);
}

/** The same numbers as lines of text. */
export function evaluationMarkdown({ tasks, mean }: EvaluateResult): string {
  const line = (values: readonly string[]) => `| ${values.join(" | ")} |`;
  const last = [
    "mean",
    "",
    "",
    percent(mean.baseline),
    percent(mean.calibrated),
    signed(mean.difference),
    ...COLUMNS.slice(6).map(() => ""),
  ];
  const lines = [line(COLUMNS), line(COLUMNS.map(() => "---")), ...tasks.map((task) => line(cells(task))), line(last)];
  const rivals = rivalRows(tasks);
  if (rivals.length > 0) lines.push("", line(RIVAL_COLUMNS), line(RIVAL_COLUMNS.map(() => "---")), ...rivals.map(line));
  return `${lines.join("\n")}\n`;
}

/** One page without scripts and without anything from elsewhere. */
export function evaluationHtml(result: EvaluateResult, title: string): string {
  const row = (values: readonly string[], tag: "td" | "th") =>
    `<tr>${values.map((value) => `<${tag}>${escapeXml(value)}</${tag}>`).join("")}</tr>`;
  const rivals = rivalRows(result.tasks);
  const record = Object.entries(result.record).map(([key, value]) =>
    row([key, typeof value === "string" ? value : JSON.stringify(value)], "td"),
  );
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeXml(title)}</title>`,
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
    "<style>body{font:14px/1.5 system-ui,sans-serif;margin:2rem;max-width:70rem}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .6rem;border-bottom:1px solid #d1d9e0;text-align:left;overflow-wrap:anywhere}</style></head><body>",
    `<h1>${escapeXml(title)}</h1>`,
    evaluationSvg(result, title),
    `<table><thead>${row(COLUMNS, "th")}</thead><tbody>${result.tasks.map((task) => row(cells(task), "td")).join("")}</tbody></table>`,
    "<p>Per cent. Multiple choice: the published scoring counts the one greedy token where its text equals the letter; “letters” compares the letters’ logits. The interval and p compare the same prompts with and without.</p>",
    ...(rivals.length > 0
      ? [
          "<h2>Rivals</h2><p>Fitted on training rows, judged on the same prompts; each against the model without heads.</p>",
          `<table><thead>${row(RIVAL_COLUMNS, "th")}</thead><tbody>${rivals.map((cells) => row(cells, "td")).join("")}</tbody></table>`,
        ]
      : []),
    `<h2>Run record</h2><table><tbody>${record.join("")}</tbody></table></body></html>`,
  ].join("\n");
}
