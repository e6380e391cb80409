import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendName } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { Backends } from "./backends.js";
import type { Backend } from "./native.js";
import type { Probe } from "./probe.js";

type Machine = Partial<Record<BackendName, { ours?: boolean; probe?: Partial<Probe> | ActError; fails?: boolean }>>;

/** The backends of a machine as the test describes it; the CPU is always there. */
function machine(given: Machine): Backends {
  const all: Machine = { cpu: {}, ...given };
  const probeOf = (name: BackendName): Probe => ({
    patchSet: "ours",
    llamaCpp: "v1",
    devices: [],
    onCpu: null,
    ...(all[name]?.probe as Partial<Probe>),
  });
  return new Backends(() => {}, {
    installed: () =>
      (["metal", "cuda", "vulkan", "cpu"] as const)
        .filter((name) => all[name])
        .map((name) => ({ name, ours: all[name]?.ours ?? true, file: name })),
    probe: async ({ name }) => {
      const answer = all[name]?.probe;
      if (answer instanceof ActError) throw answer;
      return probeOf(name);
    },
    open: async (name) => {
      if (all[name]?.fails) throw new ActError("unsupported", `The backend "${name}" cannot be used.`);
      return { name, ...probeOf(name) } as unknown as Backend;
    },
  });
}
const chosen = async (given: Machine) => {
  const { backend, reason } = await machine(given).choose("auto");
  return [backend.name, reason];
};
const gpu = (...devices: string[]) => ({ probe: { devices } });

test("auto takes the first GPU with a real device and our op, and names it", async () => {
  assert.deepEqual(await chosen({ cuda: gpu("H200"), vulkan: gpu("Radeon") }), ["cuda", "cuda is used, with H200."]);
  assert.deepEqual(await chosen({ vulkan: gpu("llvmpipe (LLVM 15)", "Radeon") }), ["vulkan", "vulkan is used, with Radeon."]);
});

test("auto passes over what would not do, and says why", async () => {
  assert.deepEqual(await chosen({}), ["cpu", "The CPU is used: no GPU backend is installed."]);
  assert.deepEqual(await chosen({ vulkan: gpu("llvmpipe (LLVM 15)") }), [
    "cpu",
    "The CPU is used: vulkan has only a software device (llvmpipe (LLVM 15)).",
  ]);
  assert.deepEqual(await chosen({ vulkan: gpu() }), ["cpu", "The CPU is used: vulkan finds no device."]);
  assert.deepEqual(await chosen({ cuda: { ours: false }, vulkan: { probe: { patchSet: null, devices: ["Radeon"] } } }), [
    "cpu",
    "The CPU is used: cuda is installed without calibration; vulkan is installed without calibration.",
  ]);
  const crash = { probe: new ActError("unsupported", "Its driver crashed.") };
  assert.deepEqual(await chosen({ cuda: crash }), ["cpu", "The CPU is used: cuda does not work here (Its driver crashed)."]);
});

test("kernels that failed their check stay off, and both the choice and the list say why", async (t) => {
  const off = "GGML_METAL_DISABLE_ACT";
  t.after(() => {
    delete process.env[off];
  });
  const passed = machine({ metal: gpu("Apple M2") });
  assert.equal((await passed.choose("auto")).reason, "metal is used, with Apple M2.");
  assert.equal(process.env[off], undefined);
  assert.match((await passed.list(true))[0]?.reason ?? "", /never run on a Mac by their authors; checked against the CPU/);
  for (const asked of ["auto", "metal"] as const) {
    delete process.env[off];
    const failed = machine({ metal: { probe: { devices: ["Apple M2"], onCpu: "other attention sinks are found" } } });
    assert.match(
      (await failed.choose(asked)).reason,
      /^.*metal.*\. Calibration is computed on the CPU: other attention sinks are found\.$/,
    );
    assert.equal(process.env[off], "1");
    // a probe of this process would now find the kernels off, which is not the reason
    assert.match((await failed.list(true))[0]?.reason ?? "", /^calibration is computed on the CPU: other attention sinks are found$/);
  }
});

test("after its device was lost, no load stays in this process", async () => {
  const given = machine({ vulkan: gpu("Radeon") });
  (await given.choose("auto")).backend.lost = true;
  for (const asked of ["auto", "vulkan", "cpu"] as const) await assert.rejects(given.choose(asked), { code: "other-backend" });
});

test("asked for by name: taken, or refused by name", async () => {
  const given = machine({ vulkan: gpu("llvmpipe") });
  assert.equal((await given.choose("vulkan")).backend.name, "vulkan");
  await assert.rejects(machine({ vulkan: gpu() }).choose("vulkan"), {
    code: "unsupported",
    message: /"vulkan" finds no device.*the backend "cpu"/,
  });
  await assert.rejects(machine({ cuda: { fails: true } }).choose("cuda"), { code: "unsupported" });
});

test("one backend a process: auto stays with it, another by name asks for a new process, one that failed to open does not count", async () => {
  const given = machine({ vulkan: gpu("Radeon"), cuda: { fails: true } });
  await assert.rejects(given.choose("cuda"), { code: "unsupported" });
  await given.choose("cpu");
  assert.equal((await given.choose("auto")).backend.name, "cpu");
  await assert.rejects(given.choose("vulkan"), { code: "other-backend" });
});

test("the list: all of them when asked to look, with reasons; otherwise the CPU alone is looked into", async () => {
  const given = machine({ cuda: { probe: new ActError("unsupported", "No driver.") }, vulkan: gpu("Radeon") });
  assert.deepEqual(await given.list(true), [
    { name: "cuda", act: false, reason: "No driver." },
    { name: "vulkan", act: true, device: "Radeon" },
    { name: "cpu", act: true },
  ]);
  assert.deepEqual(
    (await given.list(false)).map(({ reason }) => reason),
    ["not asked yet", "not asked yet", undefined],
  );
});
