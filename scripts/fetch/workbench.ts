import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { cacheFolder } from "../../src/store/cache-folder.js";

/** Code-OSS 1.139.1 with a Node extension host: what stands in for VS Code where no desktop one can be had. */
const CODE_SERVER = "4.139.1";
const NODE = "24.21.0";

/** What the tests never use, and what only the built-in Chat view needs: 637 -> 390 MB. */
const SLIM = [
  "lib/vscode/node_modules/@github",
  "lib/vscode/node_modules/@microsoft/mxc-sdk",
  "lib/vscode/node_modules/@vscode/windows-process-tree",
  "lib/vscode/extensions/copilot",
];

export interface Workbench {
  node: string;
  entry: string;
}

/** Installed once per machine, outside the clone, so that CI and a second clone find it. */
export function toolFolder(): string {
  return join(cacheFolder(), "tools");
}

/** Installs code-server and the Node it needs into the user's tool folder (about 40 s), or finds them there. */
export function installWorkbench(log: (line: string) => void = () => {}): Workbench {
  const home = join(toolFolder(), `workbench-${CODE_SERVER}-node-${NODE}-${process.platform}-${process.arch}`);
  const workbench = {
    node: join(home, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node"),
    entry: join(home, "node_modules/code-server/out/node/entry.js"),
  };
  if (existsSync(join(home, "complete"))) return workbench;
  if (process.platform !== "linux")
    throw new Error("The served workbench is installed on Linux only; elsewhere the tests download VS Code.");

  const staging = `${home}.${process.pid}`;
  const started = Date.now();
  log(`Installing the workbench (code-server ${CODE_SERVER}) into ${home}`);
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  writeFileSync(join(staging, "package.json"), '{"private":true}');
  // Scripts stay off: a plain install tries to download prebuilds and to compile. The binary comes from its own package.
  npm(staging, "install", `code-server@${CODE_SERVER}`, `node-${process.platform}-${process.arch}@${NODE}`);
  const vscode = join(staging, "node_modules/code-server/lib/vscode");
  npm(vscode, "install", "--omit=dev");
  npm(join(vscode, "extensions"), "install", "--omit=dev");
  for (const path of SLIM) rmSync(join(staging, "node_modules/code-server", path), { recursive: true, force: true });
  writeFileSync(join(staging, "complete"), "");
  try {
    renameSync(staging, home);
  } catch (error) {
    // Another process may have finished first; its copy is as good as ours.
    rmSync(staging, { recursive: true, force: true });
    if (!existsSync(join(home, "complete"))) throw error;
  }
  log(`Workbench installed in ${Math.round((Date.now() - started) / 1000)} s`);
  return workbench;
}

function npm(cwd: string, ...args: string[]): void {
  execFileSync("npm", [...args, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd,
    stdio: ["ignore", "ignore", "pipe"],
  });
}

/** A Chromium to drive the workbench with: `ACT_CHROMIUM`, one on the PATH, or the distribution's (installed where we are root). */
export function findBrowser(log: (line: string) => void = () => {}): string | null {
  const found = process.env.ACT_CHROMIUM ?? onPath("chromium", "chromium-browser", "google-chrome", "google-chrome-stable");
  if (found || process.platform !== "linux" || process.getuid?.() !== 0 || !onPath("apt-get")) return found;
  log("Installing chromium with apt-get");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) => execFileSync("apt-get", ["-qq", ...args], { stdio: "ignore", env });
  try {
    apt("update");
    apt("install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core");
  } catch {
    log("apt-get could not install chromium");
  }
  return onPath("chromium");
}

export function onPath(...names: string[]): string | null {
  const folders = (process.env.PATH ?? "").split(delimiter);
  for (const name of names) for (const folder of folders) if (folder && existsSync(join(folder, name))) return join(folder, name);
  return null;
}

export interface ServeOptions {
  userData: string;
  extensions: string;
  port?: number;
  /** Makes the workbench honour extension paths in the address; it also suppresses toasts and dialogs, so UI flows leave it out. */
  smokeDriver?: boolean;
  logFile: string;
  env?: NodeJS.ProcessEnv;
}

export interface Served {
  url: string;
  port: number;
  process: ChildProcess;
  stop(): Promise<void>;
}

/** Starts the workbench's server on loopback and waits until it answers. */
export async function serve(workbench: Workbench, options: ServeOptions): Promise<Served> {
  const port = options.port ?? (await freePort());
  mkdirSync(options.userData, { recursive: true });
  const config = join(options.userData, "code-server.yaml");
  // An empty config file keeps the server from reading the user's own one.
  writeFileSync(config, "cert: false\n");
  const args = [workbench.entry, "--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--config", config];
  args.push("--user-data-dir", options.userData, "--extensions-dir", options.extensions);
  args.push("--disable-telemetry", "--disable-update-check", "--disable-getting-started-override");
  if (options.smokeDriver) args.push("--vscode-option", "enable-smoke-test-driver");
  const child = spawn(workbench.node, args, { env: serverEnvironment(options.env), stdio: ["ignore", "pipe", "pipe"], detached: true });
  const log = createWriteStream(options.logFile);
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    // The server forks workers: the group goes together.
    if (child.exitCode === null && child.pid) process.kill(-child.pid, "SIGTERM");
    const timer = setTimeout(() => child.pid && process.kill(-child.pid, "SIGKILL"), 5000);
    await gone;
    clearTimeout(timer);
    log.end();
  };
  try {
    await answering(url, gone);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, port, process: child, stop };
}

/** Installs a packaged extension the way a user's workbench does. */
export function installVsix(workbench: Workbench, vsix: string, options: Pick<ServeOptions, "userData" | "extensions">): void {
  mkdirSync(options.userData, { recursive: true });
  const config = join(options.userData, "code-server.yaml");
  writeFileSync(config, "cert: false\n");
  const args = [workbench.entry, "--config", config, "--user-data-dir", options.userData, "--extensions-dir", options.extensions];
  execFileSync(workbench.node, [...args, "--install-extension", vsix], { env: serverEnvironment(), stdio: ["ignore", "ignore", "pipe"] });
}

/** Variables of a surrounding VS Code or npm must not leak into the one under test. */
function serverEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (!/^(VSCODE_|ELECTRON_|npm_|NODE_OPTIONS$|NODE_TEST_CONTEXT$|NODE_PATH$)/.test(key)) env[key] = value;
  }
  return { ...env, ...extra };
}

async function answering(url: string, gone: Promise<void>): Promise<void> {
  let dead = false;
  void gone.then(() => {
    dead = true;
  });
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (dead) throw new Error("The workbench's server ended before it answered; see its log.");
    const answer = await fetch(`${url}/healthz`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("The workbench's server did not answer within 30 s; see its log.");
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
