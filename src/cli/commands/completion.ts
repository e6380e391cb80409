import * as v from "valibot";
import { ActError } from "../../protocol/errors.js";
import { commonFlags } from "../arguments.js";
import type { Command } from "../command.js";
import { choicesOf, type FlagTable } from "../flags.js";

const ShellSchema = v.picklist(["bash", "zsh", "fish"]);

/** Names of commands with their flags, as the shells' own completion wants them. */
export const completion: Command = {
  does: "a script that completes commands, flags and values in a shell",
  usage: "bash|zsh|fish",
  flags: {},
  help: 'bash: source <(act completion bash).  zsh: the same, after "autoload -U compinit bashcompinit && compinit && bashcompinit".  fish: act completion fish | source.',
  async run(_session, _flags, rest) {
    // The table holds this command too, so it is read when asked.
    const { commands } = await import("../commands.js");
    const shell = v.safeParse(ShellSchema, rest[0]);
    if (!shell.success || rest.length !== 1) throw new ActError("usage", `Name the shell: ${ShellSchema.options.join(", ")}.`);
    const script = shell.output === "fish" ? fish(commands) : bash(commands);
    return { json: { shell: shell.output, script }, text: script };
  },
};

function bash(commands: Readonly<Record<string, Command>>): string {
  const words = (flags: FlagTable) => Object.keys(flags).map((name) => `--${name}`);
  const cases = Object.entries(commands).map(
    ([name, { flags }]) => `    ${name}) words="${words({ ...flags, ...commonFlags }).join(" ")}" ;;`,
  );
  const everyFlag: FlagTable = Object.assign({}, commonFlags, ...Object.values(commands).map(({ flags }) => flags));
  const values = Object.entries(everyFlag).flatMap(([name, { schema }]) => {
    const choices = choicesOf(schema);
    return choices.length > 0 ? [`    --${name}) COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$word")); return ;;`] : [];
  });
  return [
    "_act() {",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own
    '  local word="${COMP_WORDS[COMP_CWORD]}" words',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own
    '  case "${COMP_WORDS[COMP_CWORD-1]}" in',
    ...values,
    "  esac",
    '  if [ "$COMP_CWORD" = 1 ]; then',
    `    COMPREPLY=($(compgen -W "${Object.keys(commands).join(" ")}" -- "$word")); return`,
    "  fi",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    "  esac",
    '  if [[ "$word" == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$word")); else COMPREPLY=($(compgen -f -- "$word")); fi',
    "}",
    "complete -F _act act",
  ].join("\n");
}

function fish(commands: Readonly<Record<string, Command>>): string {
  const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const flag = (condition: string, name: string, does: string, choices: string[], takesValue: boolean) =>
    `complete -c act ${condition} -l ${name}${takesValue ? " -r" : ""}${choices.length > 0 ? ` -fa ${quote(choices.join(" "))}` : ""} -d ${quote(does)}`;
  const lines = (condition: string, flags: FlagTable) =>
    Object.entries(flags).map(([name, { does, schema, value }]) => flag(condition, name, does, choicesOf(schema), value !== undefined));
  return [
    ...Object.entries(commands).map(([name, { does }]) => `complete -c act -f -n __fish_use_subcommand -a ${name} -d ${quote(does)}`),
    ...lines("", commonFlags),
    ...Object.entries(commands).flatMap(([name, { flags }]) => lines(`-n '__fish_seen_subcommand_from ${name}'`, flags)),
  ].join("\n");
}
