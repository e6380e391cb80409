import { commonFlags } from "./arguments.js";
import type { Command } from "./command.js";
import { type Flag, type FlagTable, limitsText } from "./flags.js";

/** What the command reads from its environment. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  ACT_MODEL: "model file, where --model is not given",
  ACT_DATA: "folder of the evaluation data, where --data is not given",
  ACT_CACHE: "folder for models, built engines, data sets and journals, in place of the user's cache folder",
};

const EXIT_CODES = "0 done, 1 failed while running, 2 wrong usage, 130 interrupted";

export function overview(commands: Readonly<Record<string, Command>>): string {
  const lines = columns(Object.entries(commands).map(([name, { does }]) => [name, does]));
  return [
    "act COMMAND [FLAGS]: a local LLM with calibrated attention",
    "",
    ...lines,
    "",
    "act COMMAND --help shows a command's flags; act --version shows the version.",
    "",
    "Environment:",
    ...columns(Object.entries(ENVIRONMENT)),
    "",
    `Exit codes: ${EXIT_CODES}.`,
    "",
  ].join("\n");
}

export function usage(name: string, { does, usage: form, flags, help }: Command): string {
  return [
    `act ${name} ${form}`,
    does,
    ...(help ? ["", help] : []),
    ...(Object.keys(flags).length > 0 ? ["", "Flags:", ...columns(describe(flags))] : []),
    "",
    "Common flags:",
    ...columns(describe(commonFlags)),
    "",
  ].join("\n");
}

/** The same as a page: docs/act.md. */
export function manual(commands: Readonly<Record<string, Command>>): string {
  const table = (flags: FlagTable) => [
    "| flag | meaning |",
    "|---|---|",
    ...describe(flags).map(([flag, text]) => `| \`${flag}\` | ${text.replaceAll("|", "\\|")} |`),
  ];
  return [
    "# The headless command",
    "",
    "Made from the flag tables in `src/cli` by `node scripts/run.mjs docs`; a test compares.",
    "",
    `Exit codes: ${EXIT_CODES}. Errors are one sentence on standard error; with \`--json\` also \`{"error":{"code","message"}}\` on standard output.`,
    "",
    "| environment | meaning |",
    "|---|---|",
    ...Object.entries(ENVIRONMENT).map(([name, text]) => `| \`${name}\` | ${text} |`),
    "",
    "## Flags of every command",
    "",
    ...table(commonFlags),
    ...Object.entries(commands).flatMap(([name, { does, usage: form, flags, help }]) => [
      "",
      `## act ${name}`,
      "",
      `${capital(does)}.`,
      "",
      "```",
      `act ${name} ${form}`,
      "```",
      ...(help ? ["", help] : []),
      ...(Object.keys(flags).length > 0 ? ["", ...table(flags)] : []),
    ]),
    "",
  ].join("\n");
}

function describe(flags: FlagTable): [flag: string, text: string][] {
  return Object.entries(flags).map(([name, flag]) => [signature(name, flag), `${flag.does}${limitsText(flag)}`]);
}

function signature(name: string, { value, many, short }: Flag): string {
  return `${short ? `-${short}, ` : ""}--${name}${value === undefined ? "" : ` ${value}${many ? "…" : ""}`}`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
