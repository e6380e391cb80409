// What a package carries of others: names, versions and licence texts, for THIRD-PARTY-NOTICES and the list of components (SBOM).
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { ActError } from "../../src/protocol/errors.js";

export interface Component {
  name: string;
  version: string;
  /** SPDX expression. */
  licence: string;
  text: string;
}

/** Licences under which others' code may be inside the package. A new one is looked at by a person first. */
const ACCEPTED =
  /^\(?(MIT|ISC|BSD-2-Clause|BSD-3-Clause|0BSD|Apache-2\.0|BlueOak-1\.0\.0|Unlicense|CC0-1\.0|Python-2\.0|MPL-2\.0 OR Apache-2\.0)( (OR|AND) (MIT|ISC|Apache-2\.0|CC0-1\.0))*\)?$/;

/**
 * @param folders package folders relative to `root`
 * @throws ActError `internal` naming a package without a licence, or with one that nobody has accepted
 */
export async function npmComponents(root: string, folders: Iterable<string>): Promise<Component[]> {
  const components = await Promise.all([...new Set(folders)].sort().map((folder) => npmComponent(path.join(root, folder))));
  const seen = new Set<string>();
  return components.filter(({ name, version }) => !seen.has(`${name}@${version}`) && seen.add(`${name}@${version}`));
}

async function npmComponent(folder: string): Promise<Component> {
  const { name, version, license, licenses } = JSON.parse(await fs.readFile(path.join(folder, "package.json"), "utf8"));
  const named = typeof license === "string" ? license : (license?.type ?? licenses?.[0]?.type ?? "");
  // Older packages name it as its own text does.
  const licence = named === "Apache License, Version 2.0" ? "Apache-2.0" : named;
  if (!ACCEPTED.test(licence))
    throw new ActError(
      "internal",
      `The package ${name}@${version} has the licence "${licence}", which scripts/lib/licences.ts does not accept.`,
    );
  const file = (await fs.readdir(folder)).find((one) => /^(licen[cs]e|copying)(\.|-|$)/i.test(one));
  return { name, version, licence, text: file ? (await fs.readFile(path.join(folder, file), "utf8")).trim() : `Licence: ${licence}` };
}

/** llama.cpp with what it bundles. @param sources its unpacked sources */
export async function llamaComponents(sources: string, version: string): Promise<Component[]> {
  const licences: [name: string, file: string][] = [
    ["llama.cpp and ggml", "LICENSE"],
    ["JSON for Modern C++", "licenses/LICENSE-jsonhpp"],
  ];
  return await Promise.all(
    licences.map(async ([name, file]) => {
      const full = path.join(sources, file);
      if (!existsSync(full))
        throw new ActError("internal", `llama.cpp's ${file} is missing; look where it went and change scripts/lib/licences.ts.`);
      return { name, version, licence: "MIT", text: (await fs.readFile(full, "utf8")).trim() };
    }),
  );
}

/** THIRD-PARTY-NOTICES: equal licence texts once, with the names of all that use them. */
export function notices(components: readonly Component[]): string {
  const byText = new Map<string, Component[]>();
  for (const component of components) byText.set(component.text, [...(byText.get(component.text) ?? []), component]);
  const blocks = [...byText].map(([text, users]) => `${users.map(({ name, version }) => `${name} ${version}`).join(", ")}\n\n${text}\n`);
  return `This package holds the following work of others.\n\n${"-".repeat(72)}\n${blocks.join(`\n${"-".repeat(72)}\n`)}`;
}

/** The same as a CycloneDX document. */
export function billOfMaterials(product: { name: string; version: string }, components: readonly Component[]): object {
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: { type: "application", name: product.name, version: product.version } },
    components: components.map(({ name, version, licence }) => ({
      type: "library",
      name,
      version,
      licenses: [/ (OR|AND) /.test(licence) ? { expression: licence } : { license: { id: licence } }],
    })),
  };
}
