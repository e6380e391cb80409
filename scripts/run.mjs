#!/usr/bin/env node
// Every project command starts here: `node scripts/run.mjs COMMAND …` (npm start, npm test, …). Plain Node without
// dependencies, because on a fresh clone there are none yet: it installs them, bundles the TypeScript build scripts and runs them.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { withLock } from "../src/store/lock.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

try {
  if (Number(process.versions.node.split(".")[0]) < 20) throw new Error(`Node 20 or later is needed; this is ${process.version}.`);
  process.chdir(root);
  await installDependencies();
  const { main } = await import(pathToFileURL(await bundleBuildScripts()).href);
  process.exitCode = await main(process.argv.slice(2), root);
} catch (error) {
  console.error(error?.name === "ActError" || process.exitCode ? error.message : (error?.stack ?? String(error)));
  process.exitCode ||= 1;
}

async function installDependencies() {
  if (await isInstalled()) return;
  const lock = path.join(root, ".cache", "install.lock");
  await withLock(
    lock,
    async () => {
      if (await isInstalled()) return;
      console.error("Installing the npm dependencies of package-lock.json (about half a minute)…");
      await npm(["ci", "--ignore-scripts", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"]);
      if (!(await isInstalled())) throw new Error("npm ci ended without an error, but node_modules does not match package-lock.json.");
    },
    { onWait: (holder) => console.error(`Another set-up (process ${holder?.pid}) is installing the dependencies; waiting…`) },
  );
}

/** Whether node_modules holds what package-lock.json names; npm writes its own list there as the last thing it does. */
async function isInstalled() {
  const wanted = JSON.parse(await fs.readFile(path.join(root, "package-lock.json"), "utf8")).packages;
  let present;
  try {
    present = JSON.parse(await fs.readFile(path.join(root, "node_modules", ".package-lock.json"), "utf8")).packages;
  } catch {
    return false;
  }
  return Object.entries(wanted).every(
    ([name, { version, optional, link }]) => name === "" || link || present[name]?.version === version || (optional && !present[name]),
  );
}

/** npm's own script run by this Node: no shell, so it works the same on Windows. */
function npm(args) {
  const beside = path.dirname(process.execPath);
  const cli = [
    process.env.npm_execpath,
    path.join(beside, "../lib/node_modules/npm/bin/npm-cli.js"),
    path.join(beside, "node_modules/npm/bin/npm-cli.js"),
  ].find((file) => file?.endsWith(".js") && existsSync(file));
  const [command, first] = cli ? [process.execPath, [cli]] : ["npm", []];
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...first, ...args], { cwd: root, stdio: ["ignore", process.stderr, process.stderr] });
    child.on("error", (error) => reject(new Error(`npm could not be started: ${error.message}`)));
    child.on("exit", (code) => {
      if (code === 0) resolve();
      else {
        process.exitCode = 1; // npm has said why
        reject(new Error(`npm ${args[0]} failed with exit code ${code}; see its message above, then run the same command again.`));
      }
    });
  });
}

async function bundleBuildScripts() {
  const { build } = await import("esbuild");
  const file = path.join(root, ".cache", "build", "main.mjs");
  const { outputFiles } = await build({
    entryPoints: [path.join(root, "scripts/main.ts")],
    outfile: file,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    sourcemap: "inline",
    write: false,
    logLevel: "warning",
  });
  const text = outputFiles[0].text;
  if (
    await fs.readFile(file, "utf8").then(
      (old) => old === text,
      () => false,
    )
  )
    return file;
  await fs.mkdir(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  await fs.writeFile(draft, text);
  await fs.rename(draft, file);
  return file;
}
