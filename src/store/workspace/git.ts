// Questions to git about a folder that somebody else may have made. Its configuration can name programs: none of them may run.
import { execFile } from "node:child_process";
import { devNull } from "node:os";
import { promisify } from "node:util";

/** Settings of a repository that make git start a program, each switched off. */
const OFF = [
  "core.fsmonitor=false",
  `core.hooksPath=${devNull}`,
  "core.sshCommand=",
  "core.pager=cat",
  "core.askPass=",
  "credential.helper=",
  "diff.external=",
  "submodule.recurse=false",
  "protocol.allow=never",
  "core.untrackedCache=false",
];
const SECONDS = 20;

/**
 * What git prints. A git that waits, for instance for a pipe that the folder's configuration names, is ended.
 * @throws where git is missing, refuses the folder, or takes longer than 20 seconds
 */
export async function git(folder: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  // A repository that our caller works in is not the one that is asked about.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_") || name === "GIT_CEILING_DIRECTORIES"),
  );
  const { stdout } = await promisify(execFile)("git", ["-C", folder, ...OFF.flatMap((setting) => ["-c", setting]), ...args], {
    env: { ...env, GIT_OPTIONAL_LOCKS: "0", GIT_TERMINAL_PROMPT: "0" },
    maxBuffer: 1 << 28,
    timeout: SECONDS * 1000,
    killSignal: "SIGKILL",
    ...(signal ? { signal } : {}),
  });
  return stdout;
}
