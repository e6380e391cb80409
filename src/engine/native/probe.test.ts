import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { temporaryFolder } from "../../../test/fixtures/temporary.js";
import { probeBackend } from "./probe.js";

test("a device whose check ends its process is asked again without our kernels; one without a check does not work", async (t) => {
  const folder = temporaryFolder("probe");
  const entry = process.argv[1];
  t.after(() => {
    process.argv[1] = entry ?? "";
  });
  const stub = path.join(folder, "engine.mjs");
  await writeFile(
    stub,
    `if (process.env.GGML_METAL_DISABLE_ACT === undefined) process.abort();
    const probe = { patchSet: "ours", llamaCpp: "v1", devices: ["Apple M2"], onCpu: "GGML_METAL_DISABLE_ACT is set" };
    process.send({ probe }, () => process.disconnect());`,
  );
  process.argv[1] = stub;
  const { devices, onCpu } = await probeBackend({ name: "metal", ours: true, file: "" });
  assert.deepEqual(devices, ["Apple M2"]);
  assert.match(onCpu ?? "", /^the process that checked its kernels failed \(.*ended the process that tried it \(SIGABRT\)/);
  await assert.rejects(probeBackend({ name: "vulkan", ours: true, file: "" }), { code: "unsupported", message: /SIGABRT/ });
});
