import { parseArgs } from "node:util";
import { ActError } from "../protocol/errors.js";
import { bundleProduct } from "./bundle.js";
import { runChecks } from "./checks.js";
import { type BuildContext, buildContext } from "./context.js";
import { ensureDefaultModel } from "./model.js";
import { ensureNative, type Gpu, setUpNative, setUpReference } from "./native.js";
import { test } from "./test.js";

type Command = (context: BuildContext, args: string[]) => Promise<number>;

const COMMANDS: Record<string, { does: string; run: Command }> = {
  test: {
    does: "all tests; [FILTER…] part of a path, [--pure] without native engine, [--no-checks]",
    run: (context, args) => test(context, args, () => setUpMachine(context)),
  },
  check: { does: "type check, format and lint", run: async (context) => ((await runChecks(context)).length === 0 ? 0 : 1) },
  build: { does: "write the bundles to dist [NAME…]", run: build },
  model: { does: "put the default model into the user cache, print its path", run: model },
  native: { does: "build and install the native engine [--gpu vulkan|cuda|metal] [--portable] [--reference]", run: native },
};

/** @returns the exit code */
export async function main(args: string[], root: string): Promise<number> {
  const [name = "", ...rest] = args;
  const command = COMMANDS[name];
  if (!command) {
    const width = Math.max(...Object.keys(COMMANDS).map((key) => key.length));
    console.error(
      `Usage: node src/build/run.mjs COMMAND\n${Object.entries(COMMANDS)
        .map(([key, { does }]) => `  ${key.padEnd(width)}  ${does}`)
        .join("\n")}`,
    );
    return name === "" || name === "help" || name === "--help" ? 0 : 2;
  }
  return command.run(buildContext(root), rest);
}

/** What the machine tests need: engine, bundles, model. */
async function setUpMachine(context: BuildContext): Promise<void> {
  await setUpNative(context);
  await bundleProduct(context);
  await ensureDefaultModel(context.cache);
}

async function build(context: BuildContext, args: string[]): Promise<number> {
  await bundleProduct(context, args.length > 0 ? args : undefined);
  return 0;
}

async function model(context: BuildContext): Promise<number> {
  console.log(await ensureDefaultModel(context.cache));
  return 0;
}

async function native(context: BuildContext, args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { gpu: { type: "string" }, portable: { type: "boolean" }, reference: { type: "boolean" } },
  });
  const gpu = (values.gpu ?? false) as Gpu;
  if (gpu && !["vulkan", "cuda", "metal"].includes(gpu)) throw new ActError("usage", `Unknown GPU "${gpu}": vulkan, cuda or metal.`);
  if (values.reference) console.log(await setUpReference(context));
  else if (values.portable) console.log((await ensureNative(context, { gpu, flavour: "portable" })).folder);
  else {
    const build = await setUpNative(context, gpu);
    console.log(`${build.folder}\npatch set ${build.patchSet}`);
  }
  return 0;
}
