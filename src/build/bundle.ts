import { rmSync } from "node:fs";
import { type BuildOptions, build } from "esbuild";

/** What the product consists of, one bundle per process: editor, engine, terminal, and one per view. */
const common = { bundle: true, sourcemap: true, logLevel: "warning", legalComments: "none" } satisfies BuildOptions;
const node = { ...common, platform: "node", target: "node20" } satisfies BuildOptions;
/** node-llama-cpp finds its binaries beside itself, so it is never bundled. */
const esm = {
  ...node,
  format: "esm",
  external: ["node-llama-cpp"],
  // CommonJS dependencies inside an ES module still ask for `require`.
  banner: { js: 'import { createRequire as __createRequire } from "node:module";\nconst require = __createRequire(import.meta.url);' },
} satisfies BuildOptions;

export const bundles: Record<string, BuildOptions> = {
  host: { ...node, format: "cjs", external: ["vscode"], entryPoints: ["src/host/extension.ts"], outfile: "dist/host.cjs" },
  engine: { ...esm, entryPoints: ["src/engine/main.ts"], outfile: "dist/engine.mjs" },
  cli: { ...esm, entryPoints: ["src/cli/main.ts"], outfile: "dist/cli.mjs" },
  webview: {
    ...common,
    platform: "browser",
    format: "iife",
    target: "chrome120",
    minify: true,
    sourcemap: false,
    entryPoints: { chat: "webview/chat/main.ts", calibrate: "webview/calibrate/main.ts", sinks: "webview/sinks/main.ts" },
    outdir: "dist/webview",
    loader: { ".ttf": "file", ".svg": "dataurl" },
  },
};

/** Writes dist/. `minify` is for packaging; `only` names some of the bundles. */
export async function bundle(options: { minify?: boolean; only?: string[] } = {}): Promise<void> {
  const chosen = options.only ?? Object.keys(bundles);
  if (!options.only) rmSync("dist/webview", { recursive: true, force: true });
  await Promise.all(
    chosen.map((name) => {
      const one = bundles[name];
      if (!one) throw new Error(`There is no bundle named ${name}; there are ${Object.keys(bundles).join(", ")}.`);
      return build({ ...one, minify: options.minify ?? one.minify ?? false, sourcemap: options.minify ? false : one.sourcemap });
    }),
  );
}
