import { parseArgs } from "node:util";
import { ActError, exitCode } from "../src/protocol/errors.js";
import { storeError } from "../src/store/atomic.js";
import { setUpVulkanTests } from "../test/native/support/vulkan-tests.js";
import { runAttacks } from "./commands/attack.js";
import { bench } from "./commands/bench.js";
import { runChecks } from "./commands/check.js";
import { docs } from "./commands/docs.js";
import { runPackage } from "./commands/package.js";
import { release } from "./commands/release.js";
import { setUp } from "./commands/set-up.js";
import { start } from "./commands/start.js";
import { test } from "./commands/test.js";
import { watch } from "./commands/watch.js";
import { openWorkbench } from "./commands/workbench.js";
import { type BuildContext, buildContext } from "./context.js";
import { ensureDefaultModel } from "./fetch/model.js";
import { bundleProduct } from "./lib/bundle.js";
import type { Gpu } from "./native/key.js";
import { ensureNative, setUpNative, setUpReference } from "./native/native.js";

interface Command {
  does: string;
  run: (context: BuildContext, args: string[]) => Promise<number>;
}

const COMMANDS: Record<string, Command> = {
  start: { does: "set up, then complete a file and a question with and without ACT and draw the sinks", run: start },
  test: {
    does: "all tests; [FILTER…] parts of paths, [--pure] without native engine, [--no-checks]",
    run: (context, args) => test(context, args, (files) => setUpTests(context, files)),
  },
  check: { does: "type check, format and lint", run: async (context) => ((await runChecks(context)).length === 0 ? 0 : 1) },
  "set-up": { does: "native engine, default model and bundles", run: async (context) => print(await setUp(context)) },
  build: { does: "write the bundles to dist [NAME…]", run: build },
  model: { does: "put the default model into the user cache", run: async (context) => print(await ensureDefaultModel(context.cache)) },
  package: { does: "a VSIX for this platform, for all its CPUs [--this-cpu: quicker, for this one]", run: runPackage },
  bench: { does: "measure NAME (test/bench/NAME.ts) and print the figures", run: bench },
  workbench: { does: "open the extension in VS Code, or in a served workbench where there is none [FOLDER]", run: openWorkbench },
  attack: { does: "campaigns of hostile files, frames and kills against the product [--minutes N] [--seed N] [NAME…]", run: runAttacks },
  watch: { does: "set up, then write the bundles whenever a source changes (F5 in VS Code starts it)", run: watch },
  release: { does: "VERSION: put the entries of changes/ into CHANGELOG.md and set the version", run: release },
  docs: { does: "write docs/act.md from the tables of the command line", run: docs },
  native: { does: "build and install the native engine [--gpu vulkan|cuda|metal] [--portable] [--reference]", run: native },
};

/** @returns the exit code */
export async function main(args: string[], root: string): Promise<number> {
  const [name = "", ...rest] = args;
  const command = COMMANDS[name];
  if (!command) {
    const width = Math.max(...Object.keys(COMMANDS).map((key) => key.length));
    const list = Object.entries(COMMANDS).map(([key, { does }]) => `  ${key.padEnd(width)}  ${does}`);
    console.error(`Usage: node scripts/run.mjs COMMAND\n${list.join("\n")}`);
    return name === "" || name === "help" || name === "--help" ? 0 : 2;
  }
  const context = buildContext(root);
  try {
    return await command.run(context, rest);
  } catch (error) {
    // A full disk or a cache that cannot be written is a sentence too.
    const told = storeError(error, (error as NodeJS.ErrnoException).path ?? context.cache);
    if (!(told instanceof ActError)) throw error;
    console.error(told.message);
    return exitCode(told.code);
  }
}

/** What the chosen test files need beyond themselves. Only tests of Vulkan make anybody build it for a software device. */
async function setUpTests(context: BuildContext, files: string[]): Promise<void> {
  await setUp(context);
  if (files.some((file) => file.includes("vulkan"))) await setUpVulkanTests(context);
}

function print(text: string): number {
  console.log(text);
  return 0;
}

async function build(context: BuildContext, args: string[]): Promise<number> {
  await bundleProduct(context, args.length > 0 ? args : undefined);
  return 0;
}

function gpuNamed(name: string): Exclude<Gpu, false> {
  if (name === "vulkan" || name === "cuda" || name === "metal") return name;
  throw new ActError("usage", `Unknown GPU "${name}": vulkan, cuda or metal.`);
}

async function native(context: BuildContext, args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { gpu: { type: "string" }, portable: { type: "boolean" }, reference: { type: "boolean" } },
  });
  const gpu: Gpu = values.gpu === undefined ? false : gpuNamed(values.gpu);
  if (values.reference) return print(await setUpReference(context));
  if (values.portable) return print((await ensureNative(context, { gpu, flavour: "portable" })).folder);
  const done = await setUpNative(context, gpu);
  return print(`${done.folder}\npatch set ${done.patchSet}`);
}
