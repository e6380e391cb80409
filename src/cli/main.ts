import { ActError, exitCode, toActError } from "../protocol/errors.js";
import { version } from "../protocol/version.js";
import { parse } from "./arguments.js";
import type { Command } from "./command.js";
import { commands } from "./commands.js";
import { overview, usage } from "./help.js";
import { TerminalSession } from "./session.js";
import { suggest } from "./suggest.js";

/** The headless command: the same engine process as in the editor, reached over the same wire. */

// A reader that has seen enough (`| head`) ends the command; the engine ends with it.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const [name = "", ...rest] = args;
  // Known before the flags are parsed, because a wrong flag is reported as JSON too.
  const json = rest.includes("--json");
  try {
    if (name === "" || name === "help" || name === "--help" || name === "-h") {
      process.stdout.write(overview(commands));
      return name === "" ? 2 : 0;
    }
    if (name === "--version" || name === "version") {
      process.stdout.write(`${version}\n`);
      return 0;
    }
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (!command) {
      const near = suggest(name, Object.keys(commands));
      throw new ActError(
        "usage",
        `There is no command "${name}"; ${near ? `did you mean "${near}"?` : `there are ${Object.keys(commands).join(", ")}.`}`,
      );
    }
    const { flags, rest: positionals } = parse(rest, command.flags);
    if (flags.help) {
      process.stdout.write(usage(name, command));
      return 0;
    }
    return await run(command, flags, positionals);
  } catch (error) {
    return fail(toActError(error), json);
  }
}

async function run(command: Command, flags: Parameters<Command["run"]>[1], positionals: string[]): Promise<number> {
  const abort = new AbortController();
  const interrupt = () => {
    // The second time there is nothing to wait for.
    if (abort.signal.aborted) process.exit(130);
    abort.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const session = new TerminalSession(flags, abort.signal);
  try {
    const { json, text } = await command.run(session, flags, positionals);
    session.clearProgress();
    const output = session.json ? (typeof json === "string" ? json : JSON.stringify(json)) : text;
    if (output !== "") await print(output.endsWith("\n") ? output : `${output}\n`);
    return 0;
  } catch (error) {
    if (abort.signal.aborted) return fail(new ActError("cancelled", "Interrupted."), session.json);
    throw error;
  } finally {
    session.dispose();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** Resolves when the terminal or pipe has taken it. */
function print(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => resolve());
  });
}

async function fail(error: ActError, json: boolean): Promise<number> {
  process.stderr.write(`${error.message}\n`);
  if (json) await print(`${JSON.stringify({ error: { code: error.code, message: error.message } })}\n`);
  return exitCode(error.code);
}
