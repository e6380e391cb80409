// The few bundles that run: one per process, and one per test file.
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { type BuildOptions, build, context as esbuildContext } from "esbuild";
import { ActError } from "../../src/protocol/errors.js";
import { writeFileAtomic } from "../../src/store/atomic.js";
import type { BuildContext } from "../context.js";
import { listFiles } from "./files.js";

const NODE: BuildOptions = { bundle: true, platform: "node", target: "node20", sourcemap: "linked", logLevel: "warning" };
const ESM: BuildOptions = {
  ...NODE,
  format: "esm",
  // Packages that esbuild converts from CommonJS may still call require.
  banner: { js: 'import { createRequire as actCreateRequire } from "node:module"; const require = actCreateRequire(import.meta.url);' },
};

/** Every bundle of the product: source, output under dist, options. */
async function productBundles(root: string): Promise<{ entry: string; out: string; options: BuildOptions }[]> {
  const views = (await listFiles(root, ["webview"])).filter((file) => /^webview\/[^/]+\/main\.ts$/.test(file));
  return [
    { entry: "src/host/extension.ts", out: "host.cjs", options: { ...NODE, format: "cjs", external: ["vscode"] } },
    { entry: "src/engine/main.ts", out: "engine.mjs", options: { ...ESM, external: ["node-llama-cpp"] } },
    { entry: "src/cli/main.ts", out: "cli.mjs", options: ESM },
    ...views.map((entry) => ({
      entry,
      out: `webview/${entry.split("/")[1]}.js`,
      options: {
        bundle: true,
        platform: "browser",
        target: "es2022",
        format: "iife",
        minify: true,
        logLevel: "warning",
      } satisfies BuildOptions,
    })),
  ];
}

/** Constants that the bundler replaces. */
async function defines(root: string): Promise<Record<string, string>> {
  const { version } = JSON.parse(await fs.readFile(path.join(root, "package.json"), "utf8"));
  return { ACT_VERSION: JSON.stringify(version) };
}

/** Writes dist. @param only names of outputs, default all */
export async function bundleProduct(context: BuildContext, only?: string[]): Promise<void> {
  const bundles = (await productBundles(context.root)).filter(({ out }) => !only || only.includes(out));
  const define = await defines(context.root);
  for (const { entry, out, options } of bundles) {
    if (!existsSync(path.join(context.root, entry)))
      throw new ActError("internal", `The bundle ${out} has no source: ${entry} is missing.`);
    const outfile = path.join(context.root, "dist", out);
    const { outputFiles } = await build({ ...options, define, absWorkingDir: context.root, entryPoints: [entry], outfile, write: false });
    // Whole and only where something changed: an engine may be starting from the file right now.
    for (const file of outputFiles)
      if ((await fs.readFile(file.path, "utf8").catch(() => null)) !== file.text) await writeFileAtomic(file.path, file.contents);
  }
}

/** Folders of the npm packages whose code is inside the bundles, relative to the root. */
export async function bundledPackages({ root }: BuildContext): Promise<Set<string>> {
  const define = await defines(root);
  const folders = new Set<string>();
  for (const { entry, out, options } of await productBundles(root)) {
    const { metafile } = await build({
      ...options,
      define,
      absWorkingDir: root,
      entryPoints: [entry],
      outfile: path.join(root, "dist", out),
      write: false,
      metafile: true,
    });
    for (const input of Object.keys(metafile.inputs)) {
      const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
      if (folder) folders.add(folder);
    }
  }
  return folders;
}

/** Writes dist whenever a source changes. @returns ends it */
export async function watchProduct({ root }: BuildContext): Promise<() => Promise<void>> {
  const define = await defines(root);
  const contexts = await Promise.all(
    (await productBundles(root)).map(({ entry, out, options }) =>
      esbuildContext({
        ...options,
        define,
        absWorkingDir: root,
        entryPoints: [entry],
        outfile: path.join(root, "dist", out),
        logLevel: "info",
      }),
    ),
  );
  await Promise.all(contexts.map((one) => one.watch()));
  return async () => void (await Promise.all(contexts.map((one) => one.dispose())));
}

/**
 * Bundles test files, packages left outside.
 * @returns source path -> bundle; a file that cannot be bundled is told to `broken` and left out
 * @throws where there is no `broken` and a file cannot be bundled
 */
export async function bundleTests(
  context: BuildContext,
  files: string[],
  broken?: (file: string, why: string) => void,
): Promise<Map<string, string>> {
  const outdir = path.join(context.scratch, "test");
  const options: BuildOptions = {
    ...NODE,
    // The first that keeps import attributes, which JSON files of packages need.
    target: "node20.10",
    format: "esm",
    sourcemap: "inline",
    packages: "external",
    absWorkingDir: context.root,
    outdir,
    outbase: context.root,
    outExtension: { ".js": ".mjs" },
    loader: { ".css": "text", ".json": "json" },
    ...(broken && { logLevel: "silent" }),
  };
  const outputs = new Map(files.map((file) => [file, path.join(outdir, file.replace(/\.ts$/, ".mjs"))]));
  try {
    await build({ ...options, entryPoints: files });
  } catch (error) {
    if (!broken) throw error;
    // One by one, to know which.
    for (const file of files)
      await build({ ...options, entryPoints: [file] }).catch((why: Error) => {
        outputs.delete(file);
        broken(file, why.message);
      });
  }
  return outputs;
}
