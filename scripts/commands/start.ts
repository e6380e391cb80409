// `npm start`: the main job, headless and finite. A real source file and a real question, completed with and without calibrated
// attention; then the sinks of that file's prompt as a page.
import fs from "node:fs/promises";
import path from "node:path";
import { readPageParts } from "../../src/cli/page-parts.js";
import { EngineClient } from "../../src/client/client.js";
import { toHtml } from "../../src/core/sinks/sink-map.js";
import { sinkMasses } from "../../src/core/sinks/values.js";
import { type Calibration, DEFAULT_BETA, DEFAULT_THRESHOLD, eligibleHeads, type Head } from "../../src/protocol/calibration.js";
import type { CompletionResult, ModelInfo, SinkMap, TokenProbability } from "../../src/protocol/engine.js";
import { writeFileAtomic } from "../../src/store/atomic.js";
import type { BuildContext } from "../context.js";
import { setUp } from "./set-up.js";

/** A file of this repository, and the line at whose start the cursor stands. */
const SOURCE = { file: "src/store/cache-folder.ts", before: "  if (platform ===" };
const QUESTION = "What does a language model do with the first token of its input? Answer in two sentences.";
const TOKENS = 48;
/** Share of the eligible heads that this demonstration calibrates. */
const SHARE = 0.2;

export async function start(context: BuildContext): Promise<number> {
  const started = Date.now();
  const modelPath = await setUp(context);
  if (Date.now() - started > 5000) console.log();
  const client = new EngineClient({
    entry: path.join(context.root, "dist", "engine.mjs"),
    onLog: (level, text) => {
      if (level === "error" || level === "warn") console.error(text);
    },
  });
  try {
    await demonstrate(context, client, modelPath);
  } finally {
    client.dispose();
  }
  return 0;
}

async function demonstrate(context: BuildContext, client: EngineClient, modelPath: string): Promise<void> {
  const engine = await client.info();
  const model = await client.request("load", { path: modelPath, sequences: 1, contextSize: 2048 });
  console.log(`${model.name}: ${model.layers} layers of ${model.heads} heads, ${Math.round(model.parameters / 1e6)} M parameters`);
  console.log(
    `${model.backend}, ${model.threads} threads, llama.cpp ${engine.llamaCpp}, patch set ${engine.patchSet ?? "none (a stock binary)"}`,
  );
  if (!model.act.supported) throw new Error(`This model cannot be calibrated: ${model.act.reason}`);

  const text = await fs.readFile(path.join(context.root, SOURCE.file), "utf8");
  const cursor = text.indexOf(SOURCE.before);
  if (cursor < 0) throw new Error(`${SOURCE.file} no longer holds the line "${SOURCE.before}".`);
  const infill = { prefix: text.slice(0, cursor), suffix: text.slice(cursor), path: SOURCE.file, maxTokens: TOKENS };

  // Which heads to calibrate is what "act calibrate" finds out on labelled prompts. Here, to have something to see at once: the heads
  // of this prompt that give the most attention to sinks behind the first one.
  const map = await client.request("sinks", {
    infill: { prefix: infill.prefix, suffix: infill.suffix, path: infill.path },
    calibration: null,
    threshold: DEFAULT_THRESHOLD,
  });
  const heads = busiestHeads(map, model);
  const calibration: Calibration = { method: "act", heads, beta: DEFAULT_BETA, threshold: DEFAULT_THRESHOLD, statistics: "running" };
  console.log(
    `Calibrated below: the ${heads.length} heads that look most at later sinks of the source file (a demonstration; \`npx act calibrate\` finds those that help).`,
  );

  const line = text.slice(0, cursor).split("\n").length;
  console.log(`\n── ${SOURCE.file}, line ${line}: what comes next\n`);
  await compare((on) => client.request("infill", { ...infill, calibration: on ? calibration : null }));

  console.log(`\n── A question: ${QUESTION}\n`);
  await compare((on) =>
    client.request("chat", {
      messages: [{ role: "user", content: QUESTION }],
      maxTokens: TOKENS,
      conversation: on ? "on" : "off",
      calibration: on ? calibration : null,
    }),
  );

  const shown = await client.request("sinks", {
    infill: { prefix: infill.prefix, suffix: infill.suffix, path: infill.path },
    calibration,
    threshold: DEFAULT_THRESHOLD,
  });
  const page = path.join(context.root, "sinks.html");
  const subtitle = `${model.name}, ${SOURCE.file} up to line ${line}, ${shown.tokens.length} tokens, ${heads.length} heads calibrated at beta ${DEFAULT_BETA}`;
  await writeFileAtomic(
    page,
    toHtml(shown, await readPageParts(path.join(context.root, "dist")), {
      threshold: DEFAULT_THRESHOLD,
      title: "Attention sinks",
      subtitle,
    }),
  );
  console.log(`\n── Sinks of the source file's prompt\n`);
  const live = shown.sinks.filter(({ positions }) => positions.length > 0).length;
  console.log(`${live} of the ${heads.length} calibrated heads have a sink behind the first one.`);
  console.log(`next token, off: ${likeliest(shown.next.off)}`);
  if (shown.next.on) console.log(`next token, on:  ${likeliest(shown.next.on)}`);
  console.log(`\nThe sinks are drawn in ${page}: open it in a browser.`);
  console.log(`The editor: npm run workbench. The command: npx act --help.`);
}

/** The eligible heads with the most attention on sinks behind the first, a share of them, in the model's order. */
function busiestHeads(map: SinkMap, model: ModelInfo): Head[] {
  const masses = sinkMasses(map, DEFAULT_THRESHOLD, false);
  const mass = ([layer, head]: Head) => masses[layer * model.heads + head] ?? 0;
  const eligible = eligibleHeads(model.layers, model.heads);
  return eligible
    .sort((a, b) => mass(b) - mass(a))
    .slice(0, Math.ceil(eligible.length * SHARE))
    .sort(([a, b], [c, d]) => a - c || b - d);
}

async function compare(complete: (on: boolean) => Promise<CompletionResult>): Promise<void> {
  const off = await complete(false);
  const on = await complete(true);
  for (const [name, result] of [
    ["ACT off", off],
    ["ACT on ", on],
  ] as const) {
    const { promptTokens, firstTokenMs, prefillTokensPerSecond, decodeTokensPerSecond } = result.timings;
    const prompt = `${promptTokens} tokens read at ${Math.round(prefillTokensPerSecond)}/s`;
    console.log(
      `${name}  ${prompt}, ${result.tokens.length} written at ${Math.round(decodeTokensPerSecond)}/s, the first after ${Math.round(firstTokenMs)} ms`,
    );
    console.log(result.text.trimEnd().replaceAll(/^/gm, "    "));
  }
  const same = off.tokens.findIndex((token, i) => token !== on.tokens[i]);
  console.log(
    same < 0 && off.tokens.length === on.tokens.length
      ? "The two are equal."
      : `They differ from token ${same < 0 ? Math.min(off.tokens.length, on.tokens.length) + 1 : same + 1} on.`,
  );
}

function likeliest(tokens: TokenProbability[]): string {
  return tokens
    .slice(0, 5)
    .map(({ text, probability }) => `${JSON.stringify(text)} ${(probability * 100).toFixed(1)} %`)
    .join("  ");
}
