import { spawn } from "node:child_process";
import { ActError } from "../../src/protocol/errors.js";

export interface ExecOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Called with each line of output, standard output and error together. */
  onLine?: (line: string) => void;
  /** Shown when the command fails, before the end of its output. */
  failure?: string;
  signal?: AbortSignal;
}

/** Lines of a failed command that the error shows. */
const TAIL = 40;

/** Runs a command without a shell and answers its standard output. Rejects with the end of its output when it fails. */
export async function exec(command: string, args: string[], { cwd, env, onLine, failure, signal }: ExecOptions = {}): Promise<string> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], signal });
  const out: string[] = [];
  const tail: string[] = [];
  const lines = (stream: NodeJS.ReadableStream) => {
    let rest = "";
    stream.setEncoding("utf8");
    const emit = (line: string) => {
      tail.push(line);
      if (tail.length > TAIL) tail.shift();
      onLine?.(line);
    };
    stream.on("data", (text: string) => {
      const parts = (rest + text).split(/\r?\n/);
      rest = parts.pop() ?? "";
      for (const line of parts) emit(line);
    });
    stream.on("end", () => rest && emit(rest));
  };
  child.stdout.on("data", (text: string) => out.push(text));
  lines(child.stdout);
  lines(child.stderr);
  return new Promise((resolve, reject) => {
    child.on("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "ENOENT" ? new ActError("usage", `${command} was not found on the PATH.`) : error),
    );
    child.on("close", (code, killed) => {
      if (code === 0) return resolve(out.join(""));
      const how = killed ? `was ended by ${killed}` : `failed with exit code ${code}`;
      reject(new ActError("internal", `${failure ?? `${command} ${args.join(" ")}`} ${how}:\n${tail.join("\n")}`));
    });
  });
}

/** Whether the command can be started at all. */
export async function isOnPath(command: string, args = ["--version"]): Promise<boolean> {
  return exec(command, args).then(
    () => true,
    () => false,
  );
}
