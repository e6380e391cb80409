import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { ActError } from "../../protocol/errors.js";

const PYTHON = "python3";
const SECONDS = 10;
const MEBIBYTES = 1024;

/**
 * Reads a nonce, limits itself, and runs the program in the file it is given; the nonce on standard output says that the program came to its end. The
 * audit hook stays for good: no network, no other programs, no writing outside the folder. It holds back what a model writes by accident, not an attacker.
 */
const RUNNER = `
import os, sys
nonce = sys.stdin.readline().strip()
file, folder = sys.argv[1], os.path.realpath(os.getcwd())
try:
    import resource
    def limit(what, value):
        try: resource.setrlimit(what, (value, value))
        except (ValueError, OSError): pass
    limit(resource.RLIMIT_AS, ${MEBIBYTES} << 20)
    limit(resource.RLIMIT_CPU, ${SECONDS})
    limit(resource.RLIMIT_FSIZE, 1 << 20)
    limit(resource.RLIMIT_CORE, 0)
except ImportError: pass
source = compile(open(file, encoding="utf-8").read(), "program.py", "exec")
say = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
BARRED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill", "os.startfile", "ctypes.", "pty.", "signal.pthread_kill", "os.symlink", "os.link")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "shutil.")
def hook(event, arguments):
    if event.startswith(BARRED): raise PermissionError(event)
    writes = event == "open" and (any(c in str(arguments[1] or "") for c in "wax+") or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    if (writes or event.startswith(CHANGES)) and arguments and isinstance(arguments[0], (str, bytes)):
        if not os.path.realpath(os.fsdecode(arguments[0])).startswith(folder + os.sep): raise PermissionError(event)
sys.addaudithook(hook)
exec(source, {"__name__": "__main__"})
os.write(say, nonce.encode())
`;

/** @throws ActError `unsupported` where there is no Python 3 */
export async function needPython(what: string): Promise<void> {
  const found = await promisify(execFile)(PYTHON, ["--version"], { timeout: 20_000 }).catch(() => null);
  if (!found || !/Python 3\./.test(found.stdout + found.stderr))
    throw new ActError(
      "unsupported",
      `${what} runs the programs that the model completes with ${PYTHON}, which is not on this machine. Install Python 3 and put it on the PATH.`,
    );
}

/**
 * Whether a program runs to its end without an error, in a process and a folder of its own: ${SECONDS} seconds, 1 GiB, no network, no other program.
 * @throws ActError `cancelled`
 */
export async function runsWell(program: string, signal: AbortSignal, seconds = SECONDS): Promise<boolean> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "act-program-"));
  try {
    const file = path.join(folder, "program.py");
    await fs.writeFile(file, program);
    const nonce = randomBytes(16).toString("hex");
    return (await outputOf(folder, file, nonce, signal, seconds)) === nonce;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

function outputOf(folder: string, file: string, nonce: string, signal: AbortSignal, seconds: number): Promise<string> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new ActError("cancelled", "The request was cancelled."));
    // A group of its own, so that whatever it started ends with it. Nothing of the user's environment, in which there may be keys.
    const env = { PATH: process.env.PATH ?? "", PYTHONDONTWRITEBYTECODE: "1", HOME: folder, TMPDIR: folder };
    const child = spawn(PYTHON, ["-I", "-c", RUNNER, file], { cwd: folder, env, detached: true, stdio: ["pipe", "pipe", "ignore"] });
    const kill = () => {
      try {
        process.kill(process.platform === "win32" ? (child.pid as number) : -(child.pid as number), "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    };
    const timer = setTimeout(kill, seconds * 1000);
    signal.addEventListener("abort", kill, { once: true });
    let output = "";
    child.stdout.on("data", (chunk) => {
      if (output.length <= nonce.length) output += chunk;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(`${nonce}\n`);
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", kill);
    };
    child.on("error", (error) => {
      done();
      reject(new ActError("unsupported", `${PYTHON} could not be started: ${error.message}.`, { cause: error }));
    });
    child.on("close", () => {
      done();
      kill();
      if (signal.aborted) reject(new ActError("cancelled", "The request was cancelled."));
      else resolve(output);
    });
  });
}
