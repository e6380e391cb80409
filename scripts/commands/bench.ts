// `bench NAME`: runs test/bench/NAME.ts and prints its figures as JSON.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { ActError } from "../../src/protocol/errors.js";
import type { BuildContext } from "../context.js";
import { listFiles } from "../lib/files.js";
import { setUp } from "./set-up.js";

/** Every benchmark is a module that exports `run(context)` and answers its figures. */
export async function bench(context: BuildContext, args: string[]): Promise<number> {
  const files = await listFiles(context.root, ["test/bench"]);
  const names = files.map((file) => path.basename(file, ".ts")).filter((name) => name !== "op-plot");
  const [name = ""] = args;
  if (!names.includes(name)) throw new ActError("usage", `There is no benchmark "${name}"; there are ${names.join(", ")}.`);
  await setUp(context);
  const out = path.join(context.scratch, "bench", `${name}.mjs`);
  await build({
    entryPoints: [path.join(context.root, "test/bench", `${name}.ts`)],
    outfile: out,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    logLevel: "warning",
  });
  const { run } = (await import(`${pathToFileURL(out).href}?${Date.now()}`)) as { run(context: BuildContext): Promise<unknown> };
  console.log(JSON.stringify(await run(context), (_, value) => (typeof value === "number" ? Number(value.toPrecision(4)) : value), 2));
  return 0;
}
