// Type check, format and lint: part of `npm test`, alone as `node scripts/run.mjs check`.
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../context.js";
import { exec } from "../lib/exec.js";

/** @returns one text per check that failed */
export async function runChecks(context: BuildContext): Promise<string[]> {
  const bin = (pkg: string, file: string) => path.join(context.root, "node_modules", pkg, file);
  const checks: { name: string; args: string[] }[] = [
    { name: "type check", args: [bin("typescript", "bin/tsc"), "-p", "tsconfig.json"] },
    { name: "type check of the webview", args: [bin("typescript", "bin/tsc"), "-p", "webview/tsconfig.json"] },
    { name: "format and lint", args: [bin("@biomejs/biome", "bin/biome"), "check", "--error-on-warnings", "--max-diagnostics=50"] },
  ];
  const problems: string[] = [];
  for (const { name, args } of checks) {
    const started = Date.now();
    const lines: string[] = [];
    try {
      await exec(process.execPath, args, { cwd: context.root, onLine: (line) => lines.push(line) });
      console.log(`✓ ${name} (${Date.now() - started} ms)`);
    } catch {
      console.log(`✗ ${name}\n${lines.join("\n")}`);
      problems.push(`${name} failed:\n${lines.slice(0, 60).join("\n")}`);
    }
  }
  return problems;
}
