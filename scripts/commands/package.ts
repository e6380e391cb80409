// `package`: a VSIX for this platform with our own engine binary inside, built for the CPUs of others too.
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { createVSIX } from "@vscode/vsce";
import { ActError } from "../../src/protocol/errors.js";
import { withLock } from "../../src/store/lock.mjs";
import type { BuildContext } from "../context.js";
import { bundledPackages, bundleProduct } from "../lib/bundle.js";
import { exec } from "../lib/exec.js";
import { billOfMaterials, llamaComponents, notices, npmComponents } from "../lib/licences.js";
import type { Flavour } from "../native/key.js";
import { ensureNative, installNative, type NativeBuild } from "../native/native.js";
import { patchedSources } from "../native/tree.js";

/** Largest package with the CPU engine, in bytes. */
export const MAX_BYTES = 60e6;

export interface Packaged {
  file: string;
  bytes: number;
  target: string;
}

/** `portable` runs on other CPUs than the builder's; `native` is quicker to make where the builder's own binary is there already (tests). */
export async function packageExtension(
  context: BuildContext,
  flavour: Exclude<Flavour, "reference"> = "portable",
  engine?: NativeBuild,
): Promise<Packaged> {
  const native = engine ?? (await ensureNative(context, { gpu: false, flavour }));
  // There is one staging folder: two packages at once would mix.
  return await withLock(path.join(context.scratch, "package.lock"), () => pack(context, flavour, native));
}

async function pack(context: BuildContext, flavour: Exclude<Flavour, "reference">, engine: NativeBuild): Promise<Packaged> {
  const target = `${process.platform}-${process.arch}`;
  const stage = path.join(context.scratch, "package");
  await bundleProduct(context);
  await fs.rm(stage, { recursive: true, force: true });
  await fs.mkdir(path.join(stage, "dist"), { recursive: true });
  for (const name of ["host.cjs", "engine.mjs", "webview"])
    await fs.cp(path.join(context.root, "dist", name), path.join(stage, "dist", name), {
      recursive: true,
      filter: (file) => !file.endsWith(".map"),
    });
  for (const name of ["README.md", "LICENSE", "CHANGELOG.md"])
    if (existsSync(path.join(context.root, name))) await fs.cp(path.join(context.root, name), path.join(stage, name));
  await copyMedia(context, stage);
  await fs.writeFile(path.join(stage, "package.json"), JSON.stringify(await manifest(context), null, 2));

  // The engine finds its packages beside itself: under dist they belong to the extension's own files, whatever vsce thinks of node_modules.
  const packages = path.join(stage, "dist", "node_modules");
  const engineFolders = await closure(context.root, "node-llama-cpp");
  for (const folder of engineFolders) await copyPackage(context.root, folder, packages);
  await installNative(engine, path.join(packages, "node-llama-cpp"));

  await writeLicences(context, stage, engineFolders);

  await assertLoads(packages);

  const out = path.join(context.root, "dist", "package");
  await fs.mkdir(out, { recursive: true });
  const file = path.join(out, `act-vscode-${target}${flavour === "native" ? "-this-cpu" : ""}.vsix`);
  await createVSIX({
    cwd: stage,
    packagePath: file,
    target,
    dependencies: false,
    allowMissingRepository: true,
    skipLicense: true,
    rewriteRelativeLinks: false,
  });
  const { size } = await fs.stat(file);
  await assertContents(file, size, target, flavour);
  return { file, bytes: size, target };
}

/** What users need of package.json: no scripts, no development. */
async function manifest(context: BuildContext): Promise<Record<string, unknown>> {
  const {
    scripts,
    devDependencies,
    dependencies,
    bin,
    private: _,
    ...kept
  } = JSON.parse(await fs.readFile(path.join(context.root, "package.json"), "utf8")) as Record<string, unknown>;
  void [scripts, devDependencies, dependencies, bin];
  return kept;
}

/** THIRD-PARTY-NOTICES.txt and sbom.json: of the npm packages in bundles and beside the engine, and of llama.cpp. */
async function writeLicences(context: BuildContext, stage: string, engineFolders: readonly string[]): Promise<void> {
  const llama = JSON.parse(await fs.readFile(path.join(context.nodeLlamaCpp, "llama", "llama.cpp.info.json"), "utf8"));
  const components = [
    ...(await llamaComponents(await patchedSources(context), llama.tag)),
    ...(await npmComponents(context.root, [...engineFolders, ...(await bundledPackages(context))])),
  ];
  const product = JSON.parse(await fs.readFile(path.join(context.root, "package.json"), "utf8"));
  await fs.writeFile(path.join(stage, "THIRD-PARTY-NOTICES.txt"), notices(components));
  await fs.writeFile(path.join(stage, "sbom.json"), `${JSON.stringify(billOfMaterials(product, components), null, 2)}\n`);
}

/** Icons and walkthrough pictures; those of the README are shown from the repository. */
async function copyMedia(context: BuildContext, stage: string): Promise<void> {
  const names = await fs.readdir(path.join(context.root, "media"));
  for (const name of names.filter((one) => /^(icon\.png|.*\.svg|walkthrough-.*\.png)$/.test(one)))
    await fs.cp(path.join(context.root, "media", name), path.join(stage, "media", name));
}

/** A package and all that it depends on, optional packages (prebuilt engines of others) left out, as folders relative to `root`. */
async function closure(root: string, name: string): Promise<string[]> {
  const found = new Set<string>();
  const visit = async (wanted: string, from: string): Promise<void> => {
    const folder = resolvePackage(root, wanted, from);
    if (!folder) throw new ActError("internal", `${wanted}, which ${from || "the engine"} depends on, is not installed: run npm ci.`);
    if (found.has(folder)) return;
    found.add(folder);
    const { dependencies = {} } = JSON.parse(await fs.readFile(path.join(root, folder, "package.json"), "utf8")) as {
      dependencies?: Record<string, string>;
    };
    for (const dependency of Object.keys(dependencies)) await visit(dependency, folder);
  };
  await visit(name, "");
  return [...found];
}

/** Node's own search: beside the asking package, then one level up at a time. */
function resolvePackage(root: string, name: string, from: string): string | null {
  for (let folder = from; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, "node_modules", name);
    if (path.basename(folder) !== "node_modules" && existsSync(path.join(root, candidate, "package.json"))) return candidate;
    if (folder === "" || folder === ".") return null;
  }
}

/** Of node-llama-cpp only what runs: neither its sources nor builds of other machines. Of the others no types, maps, tests or documents. */
async function copyPackage(root: string, folder: string, packages: string): Promise<void> {
  const source = path.join(root, folder);
  const target = path.join(packages, path.relative("node_modules", folder));
  await fs.cp(source, target, {
    recursive: true,
    filter: (file) => {
      const inside = path.relative(source, file).split(path.sep).join("/");
      if (/(^|\/)node_modules$/.test(inside)) return false;
      if (path.basename(folder) === "node-llama-cpp" && /^(llama\/([^/]+\/|.*\.bundle$)|templates\/|bins\/)/.test(inside)) return false;
      if (/\.(d\.[cm]?ts|map|tsbuildinfo|tgz)$/.test(inside)) return false;
      return !/^(test|tests|__tests__|docs|doc|example|examples|coverage|benchmark|\.github)(\/|$)/i.test(inside);
    },
  });
}

/** What was left out must not be missed: the engine's package is loaded from the stage, where it finds nothing else. */
async function assertLoads(packages: string): Promise<void> {
  const entry = pathToFileURL(path.join(packages, "node-llama-cpp", "dist", "index.js")).href;
  await exec(process.execPath, ["--input-type=module", "-e", `await import(${JSON.stringify(entry)}); process.exit(0);`], {
    failure: "Loading the packaged engine",
  });
}

async function assertContents(file: string, size: number, target: string, flavour: Flavour): Promise<void> {
  const names = await list(file);
  const needed = [
    /^extension\/package\.json$/,
    /^extension\/THIRD-PARTY-NOTICES\.txt$/,
    /^extension\/sbom\.json$/,
    /^extension\/dist\/host\.cjs$/,
    /^extension\/dist\/engine\.mjs$/,
    /^extension\/dist\/webview\/chat\.js$/,
    /^extension\/dist\/node_modules\/node-llama-cpp\/llama\/localBuilds\/[^/]+\/Release\/llama-addon\.node$/,
  ];
  for (const pattern of needed)
    if (!names.some((name) => pattern.test(name))) throw new ActError("internal", `The package for ${target} lacks ${pattern.source}.`);
  // One library per CPU generation, or the package stops with an illegal instruction on an older machine than the builder's.
  const variants = names.filter((name) => /ggml-cpu-[^/]+\.(so|dylib|dll)$/.test(name)).length;
  if (flavour === "portable" && variants < 2)
    throw new ActError("internal", `The package for ${target} holds ${variants} CPU variants of the engine; several are needed.`);
  const ours = (name: string) => !name.includes("/node_modules/");
  const unwanted = names.find(
    (name) => name.endsWith(".gguf") || (ours(name) && /\.(ts|map)$|^extension\/(src|test|native-patches)\//.test(name)),
  );
  if (unwanted) throw new ActError("internal", `The package for ${target} holds ${unwanted}, which does not belong there.`);
  if (size > MAX_BYTES)
    throw new ActError("internal", `The package for ${target} is ${Math.round(size / 1e6)} MB; at most ${MAX_BYTES / 1e6} are allowed.`);
}

/** Names of the files in a zip, read from its central directory. */
export async function list(file: string): Promise<string[]> {
  const bytes = await fs.readFile(file);
  const end = bytes.lastIndexOf(Buffer.from("PK\u0005\u0006", "latin1"));
  if (end < 0) throw new ActError("internal", `${file} is not a zip file.`);
  const names: string[] = [];
  let at = bytes.readUInt32LE(end + 16);
  for (let i = bytes.readUInt16LE(end + 10); i > 0; i--) {
    const [name, extra, comment] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset)) as [number, number, number];
    names.push(bytes.toString("utf8", at + 46, at + 46 + name));
    at += 46 + name + extra + comment;
  }
  return names;
}

/** For the command line: packages and says what came of it. */
export async function runPackage(context: BuildContext, args: string[]): Promise<number> {
  const { file, bytes, target } = await packageExtension(context, args.includes("--this-cpu") ? "native" : "portable");
  console.log(`${file}\n${(bytes / 1e6).toFixed(1)} MB for ${target}`);
  return 0;
}
