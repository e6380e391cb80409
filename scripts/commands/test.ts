// `npm test [-- FILTER…] [--no-checks]`: type check, format and lint, then every *.test.ts by node:test, pure ones first.
import os from "node:os";
import path from "node:path";
import { run } from "node:test";
import { ActError } from "../../src/protocol/errors.js";
import type { BuildContext } from "../context.js";
import { bundleTests } from "../lib/bundle.js";
import { listFiles } from "../lib/files.js";
import { runChecks } from "./check.js";

/** Folders of test/ whose suites need the native engine, the model and the bundles; they run after the pure ones, one at a time. */
export function needsMachine(file: string): boolean {
  return file.startsWith("test/") && !file.startsWith("test/tidy/");
}

const PURE_TIMEOUT_MS = 120_000;
const MACHINE_TIMEOUT_MS = 20 * 60_000;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** @returns exit code 0 only where at least one test ran and none failed */
export async function test(context: BuildContext, args: string[], setUpMachine: (files: string[]) => Promise<unknown>): Promise<number> {
  const filters = args.filter((arg) => !arg.startsWith("--")).map((arg) => arg.replaceAll("\\", "/").replace(/^\.\//, ""));
  const unknown = args.find((arg) => arg.startsWith("--") && arg !== "--no-checks" && arg !== "--pure");
  if (unknown) throw new ActError("usage", `Unknown option ${unknown}: npm test -- [FILTER…] [--no-checks] [--pure].`);
  const all = (await listFiles(context.root, ["src", "webview", "scripts", "test"])).filter((file) => file.endsWith(".test.ts"));
  const chosen = all.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter))).sort();
  if (chosen.length === 0)
    throw new ActError("usage", `No *.test.ts file matches ${filters.join(" ") || "anything"} (${all.length} present).`);

  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  const fail = (what: string) => {
    counts.failed++;
    failures.push(what);
  };
  if (filters.length === 0 && !args.includes("--no-checks")) {
    for (const problem of await runChecks(context)) fail(problem);
  }
  const outputs = await bundleTests(context, chosen, (file, why) => fail(`${file} cannot be bundled: ${why}`));
  const bundled = (files: string[]) => files.flatMap((file) => outputs.get(file) ?? []);
  const pure = bundled(chosen.filter((file) => !needsMachine(file)));
  const machine = args.includes("--pure") ? [] : chosen.filter(needsMachine);
  if (pure.length > 0) await runFiles(context, pure, os.cpus().length, PURE_TIMEOUT_MS, counts, failures);
  if (machine.length > 0) {
    try {
      await setUpMachine(machine);
      await runFiles(context, bundled(machine), 1, MACHINE_TIMEOUT_MS, counts, failures);
    } catch (error) {
      fail(`The set-up for ${machine.length} test files failed, so they did not run:\n${(error as Error).stack}`);
    }
  }
  if (counts.passed + counts.failed === 0) fail("No test ran.");
  if (failures.length > 0) console.log(`\nFailures:\n\n${failures.join("\n\n")}`);
  console.log(`\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}`);
  return counts.failed === 0 ? 0 : 1;
}

async function runFiles(
  context: BuildContext,
  files: string[],
  concurrency: number,
  timeout: number,
  counts: Counts,
  failures: string[],
): Promise<void> {
  const bundles = path.join(context.scratch, "test");
  // Node names the bundle, or through its source map the source.
  const sourceOf = (file: string) => {
    const base = file.startsWith(bundles + path.sep) ? bundles : context.root;
    return path
      .relative(base, file)
      .split(path.sep)
      .join("/")
      .replace(/\.mjs$/, ".ts");
  };
  const shown = new Set<string>();
  const tests = new Map(files.map((file) => [sourceOf(file), 0]));
  process.env.NODE_OPTIONS = [process.env.NODE_OPTIONS, "--enable-source-maps"].filter(Boolean).join(" ");
  const stream = run({ files, concurrency, timeout });
  for await (const event of stream) {
    const { type } = event;
    if (type === "test:stdout" || type === "test:stderr") {
      process.stdout.write(event.data.message);
      continue;
    }
    if (type !== "test:pass" && type !== "test:fail") continue;
    const data = event.data;
    const source = sourceOf(path.resolve(data.file ?? data.name));
    if (!shown.has(source)) {
      shown.add(source);
      console.log(`\n${source}`);
    }
    const isSuite = data.details.type === "suite";
    const isFile = files.includes(path.resolve(data.name));
    const indent = "  ".repeat(data.nesting + 1);
    const time = `${Math.round(data.details.duration_ms)} ms`;
    if (!isSuite) tests.set(source, (tests.get(source) ?? 0) + (isFile && type === "test:pass" ? 0 : 1));
    if (data.skip !== undefined) {
      counts.skipped++;
      console.log(`${indent}- ${data.name}  SKIPPED${typeof data.skip === "string" ? `: ${data.skip}` : " without a reason"}`);
    } else if (type === "test:pass") {
      if (isFile) continue; // the file as a whole; whether it held a test is looked at below
      if (!isSuite) counts.passed++;
      console.log(`${indent}${isSuite ? "" : "✓ "}${data.name}${isSuite ? "" : ` (${time})`}`);
    } else {
      const error = data.details.error;
      const cause = (error.cause ?? error) as Error;
      const { exitCode, signal } = error as { exitCode?: number; signal?: string };
      const text = isFile ? `the file's process ended with ${signal ?? `exit code ${exitCode}`}` : (cause?.stack ?? String(cause));
      // A suite or file that failed only because a test in it failed adds nothing.
      const inherited = (error as { failureType?: string }).failureType === "subtestsFailed";
      if (inherited) continue;
      counts.failed++;
      failures.push(`${source}${isFile ? "" : ` > ${data.name}`}\n${text}`);
      console.log(`${indent}✗ ${isFile ? source : data.name} (${time})\n${text.replaceAll(/^/gm, `${indent}    `)}`);
    }
  }
  for (const [source, count] of tests)
    if (count === 0) {
      counts.failed++;
      failures.push(`${source} holds no test.`);
    }
}
