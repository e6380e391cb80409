import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runTests } from "@vscode/test-electron";
import { build } from "esbuild";
import type { HostResults } from "./harness.js";

export interface HostSuiteOptions {
  /** Module whose `run` is called in the extension host, relative to the repository. */
  entry?: string;
  /** Folder to open. */
  workspace?: string;
  env?: Record<string, string>;
  settings?: Record<string, unknown>;
  /** Folder for the run's files, logs among them; default a new one that is kept only where there is something to look for. */
  scratch?: string;
}

/**
 * Runs the suite in a real extension host through unmodified test-electron. Where a desktop VS Code is not wanted (`ACT_DESKTOP` unset,
 * on Linux), the served workbench poses as its executable; elsewhere test-electron downloads VS Code.
 */
export async function runHostSuite(options: HostSuiteOptions = {}): Promise<HostResults> {
  const repository = resolve(".");
  const scratch = options.scratch ?? mkdtempSync(join(tmpdir(), "act-host-"));
  const results = join(scratch, "results.json");
  const suite = join(repository, "dist/test/host-suite.cjs");
  await build({
    entryPoints: [options.entry ?? "test/host/suite.ts"],
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode"],
    outfile: suite,
    logLevel: "silent",
  });
  const workspace = options.workspace ?? join(scratch, "workspace");
  mkdirSync(workspace, { recursive: true });
  const userData = join(scratch, "user");
  let failure: unknown;
  await runTests({
    ...(useServed() ? { vscodeExecutablePath: await posingExecutable() } : {}),
    extensionDevelopmentPath: repository,
    extensionTestsPath: suite,
    extensionTestsEnv: {
      ...options.env,
      ACT_HOST_RESULTS: results,
      ACT_HOST_SETTINGS: JSON.stringify(options.settings ?? {}),
    },
    launchArgs: [workspace, `--user-data-dir=${userData}`, `--extensions-dir=${join(scratch, "extensions")}`],
  }).catch((error: unknown) => {
    failure = error;
  });
  if (!existsSync(results)) throw new Error(`The suite wrote no results (${String(failure)}); logs in ${scratch}`);
  const read = JSON.parse(readFileSync(results, "utf8")) as HostResults;
  if (read.registered.length === 0) throw new Error("The suite registered no test.");
  if (!read.finished)
    throw new Error(`The extension host ended after ${read.results.length} of ${read.registered.length} tests; logs in ${scratch}`);
  // Something other than a failed test: a crash after the last one, say.
  if (failure && !read.results.some((r) => r.error)) throw new Error(`The run failed (${String(failure)}); logs in ${scratch}`);
  if (!read.results.some((r) => r.error)) rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  return read;
}

/** Runs a suite that measures. @returns the figures that it wrote */
export async function figuresOf<T>(options: HostSuiteOptions): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "act-bench-"));
  const file = join(folder, "figures.json");
  try {
    const { results } = await runHostSuite({ ...options, env: { ...options.env, ACT_HOST_FIGURES: file } });
    const failed = results.find((r) => r.error);
    if (failed) throw new Error(`${failed.name}: ${failed.error}`);
    return JSON.parse(readFileSync(file, "utf8")) as T;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function useServed(): boolean {
  return process.platform === "linux" && !process.env.ACT_DESKTOP;
}

/** One file the test driver can start: bundles test/host/vscode.ts and puts a shell line before it. */
async function posingExecutable(): Promise<string> {
  const bundle = resolve("dist/test/vscode.mjs");
  await build({
    entryPoints: ["test/host/vscode.ts"],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    outfile: bundle,
    logLevel: "silent",
  });
  const executable = resolve("dist/test/vscode");
  writeFileSync(executable, `#!/bin/sh\nexec '${process.execPath}' '${bundle}' "$@"\n`);
  chmodSync(executable, 0o755);
  return executable;
}
