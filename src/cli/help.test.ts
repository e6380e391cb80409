import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { MethodSchema } from "../protocol/calibration.js";
import { commonFlags } from "./arguments.js";
import { completion } from "./commands/completion.js";
import { commands } from "./commands.js";
import { choicesOf, type FlagTable } from "./flags.js";
import { manual, overview, usage } from "./help.js";
import { suggest } from "./suggest.js";

test("help names every command, every flag, its meaning and its bounds", () => {
  const list = overview(commands);
  for (const [name, command] of Object.entries(commands)) {
    assert.match(list, new RegExp(`^  ${name} +${command.does.slice(0, 20).replace(/[()]/g, ".")}`, "m"));
    const page = usage(name, command);
    for (const [flag, { does }] of Object.entries<FlagTable[string]>({ ...commonFlags, ...command.flags }))
      assert.ok(
        page.split("\n").some((line) => line.includes(`--${flag}`) && line.includes(does)),
        `${name} --${flag}`,
      );
  }
  assert.match(usage("evaluate", commands.evaluate ?? assert.fail()), /--shots K +few-shot examples in each prompt \(0 to 64; default 0\)/);
  assert.match(list, /ACT_MODEL/);
});

test("flags of a command do not hide a common one, but for one whose values go on being taken", () => {
  for (const [name, { flags }] of Object.entries(commands)) {
    const hidden = Object.keys(flags).filter((flag) => Object.hasOwn(commonFlags, flag));
    // `calibrate --method` names how a search goes, and still how heads are calibrated.
    assert.deepEqual(hidden, name === "calibrate" ? ["method"] : [], name);
  }
  for (const value of MethodSchema.options) assert.ok(choicesOf(commands.calibrate?.flags.method?.schema).includes(value), value);
});

test("docs/act.md is what the tables make (node scripts/run.mjs docs)", () => {
  assert.equal(readFileSync("docs/act.md", "utf8"), manual(commands));
});

test("shell completion: bash completes commands, flags and values", { skip: !existsSync("/bin/bash") && "there is no bash" }, async () => {
  const { text } = await completion.run(undefined as never, {}, ["bash"]);
  const complete = (...words: string[]) =>
    execFileSync(
      "/bin/bash",
      [
        "--norc",
        "-c",
        `${text}\nCOMP_WORDS=(act ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _act; printf '%s\\n' "\${COMPREPLY[@]}"`,
      ],
      { encoding: "utf8" },
    ).split("\n");
  assert.ok(complete("eval").includes("evaluate"));
  assert.ok(complete("evaluate", "--sho").includes("--shots"));
  assert.deepEqual(complete("evaluate", "--backend", "vu").filter(Boolean), ["vulkan"]);
});

test("shell completion: fish and zsh have a script, another shell a sentence", async () => {
  const { text } = await completion.run(undefined as never, {}, ["fish"]);
  assert.match(text, /complete -c act -n '__fish_seen_subcommand_from evaluate' -l shots -r/);
  assert.match((await completion.run(undefined as never, {}, ["zsh"])).text, /complete -F _act act/);
  await assert.rejects(completion.run(undefined as never, {}, ["csh"]), /Name the shell: bash, zsh, fish/);
});

test("suggestions: one letter off, swapped, and nothing for nonsense", () => {
  const names = Object.keys(commands);
  assert.equal(suggest("calibrat", names), "calibrate");
  assert.equal(suggest("evalaute", names), "evaluate");
  assert.equal(suggest("xyzzy", names), null);
});
