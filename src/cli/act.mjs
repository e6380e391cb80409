#!/usr/bin/env node
// `act …`: does the set-up of a clone where it is missing or out of date, then runs the bundled command. Plain Node, like run.mjs.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const run = path.join(root, "scripts/run.mjs");
const bundle = path.join(root, "dist/cli.mjs");

if (existsSync(run) && !isSetUp()) {
  // Its progress goes to standard error: standard output belongs to the command.
  const child = spawn(process.execPath, [run, "set-up"], { stdio: ["ignore", 2, 2] });
  const code = await new Promise((resolve) => child.on("exit", (exitCode) => resolve(exitCode ?? 130)));
  if (code !== 0) process.exit(code);
}
await import(pathToFileURL(bundle).href);

function isSetUp() {
  const stamp = path.join(root, "dist/set-up.json");
  if (!existsSync(stamp) || !existsSync(bundle) || !existsSync(path.join(root, "node_modules/node-llama-cpp/llama/localBuilds")))
    return false;
  const done = statSync(stamp).mtimeMs;
  return ["src", "webview", "native-patches", "package-lock.json"].every((name) => newest(path.join(root, name)) <= done);
}

/** Time of the latest change of a file or of any file below a folder. */
function newest(file) {
  const stat = statSync(file);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(file).map((name) => newest(path.join(file, name))));
}
