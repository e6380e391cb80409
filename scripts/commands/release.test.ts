import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { buildContext } from "../context.js";
import { assertPublishable, release } from "./release.js";

const real = {
  repository: { url: "git+https://example.com/act.git" },
  bugs: { url: "https://example.com/act/issues" },
  homepage: "https://example.com/act",
};

test("a placeholder address stops a release, naming the field", () => {
  assertPublishable(real);
  assert.throws(() => assertPublishable({ ...real, bugs: { url: "https://act.invalid/issues" } }), /bugs\.url is a placeholder/);
  assert.throws(() => assertPublishable({}), /repository\.url is a placeholder/);
});

test("a release moves the entries into the changelog and sets the version", async () => {
  const root = temporaryFolder("release");
  await fs.mkdir(path.join(root, "changes"));
  await fs.writeFile(path.join(root, "changes", "x.md"), "added: a thing.\n");
  await fs.writeFile(path.join(root, "CHANGELOG.md"), "# Changelog\n\n");
  await fs.writeFile(path.join(root, "package.json"), JSON.stringify({ version: "0.1.0", ...real }));
  await fs.writeFile(path.join(root, "package-lock.json"), JSON.stringify({ version: "0.1.0", packages: { "": { version: "0.1.0" } } }));
  await assert.rejects(release(buildContext(root), ["next"]), /Give the new version/);
  assert.equal(await release(buildContext(root), ["0.2.0"]), 0);
  assert.match(await fs.readFile(path.join(root, "CHANGELOG.md"), "utf8"), /## 0\.2\.0 .*\n\n### Added\n\n- a thing\./);
  assert.equal(JSON.parse(await fs.readFile(path.join(root, "package-lock.json"), "utf8")).packages[""].version, "0.2.0");
  await assert.rejects(release(buildContext(root), ["0.3.0"]), /nothing to release/);
});
