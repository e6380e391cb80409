import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { buildContext } from "../context.js";
import { bundledPackages } from "./bundle.js";
import { billOfMaterials, notices, npmComponents } from "./licences.js";

test("every npm package inside the bundles has an accepted licence and stands in the notices", async () => {
  const folders = await bundledPackages(buildContext(process.cwd()));
  assert.ok(folders.has("node_modules/valibot") && folders.has("node_modules/marked"), [...folders].join(", "));
  const components = await npmComponents(process.cwd(), folders);
  const text = notices(components);
  for (const { name, version } of components) assert.ok(text.includes(`${name} ${version}`), name);
  assert.match(text, /Permission is hereby granted/);
  assert.equal(
    (billOfMaterials({ name: "act", version: "1.0.0" }, components) as { components: object[] }).components.length,
    components.length,
  );
});

test("a licence that nobody accepted stops the package by name", async () => {
  const root = temporaryFolder("licences");
  await fs.mkdir(path.join(root, "one"));
  for (const license of ["GPL-3.0-only", "SEE LICENSE IN LICENSE", ""]) {
    await fs.writeFile(path.join(root, "one", "package.json"), JSON.stringify({ name: "one", version: "1.0.0", license }));
    await assert.rejects(npmComponents(root, ["one"]), /one@1\.0\.0 has the licence/);
  }
});

test("equal texts stand once, with all their users", () => {
  const one = { version: "1.0.0", licence: "MIT", text: "Do what you like." };
  const text = notices([
    { ...one, name: "a" },
    { ...one, name: "b" },
  ]);
  assert.equal(text.match(/Do what you like/g)?.length, 1);
  assert.match(text, /a 1\.0\.0, b 1\.0\.0/);
});
