// `npm run workbench [-- FOLDER]`: the extension in a real workbench: the user's VS Code where `code` is on the PATH, else the served one.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { ActError } from "../../src/protocol/errors.js";
import type { BuildContext } from "../context.js";
import { installVsix, installWorkbench, onPath, serve } from "../fetch/workbench.js";
import { packageExtension } from "./package.js";
import { setUp } from "./set-up.js";

export async function openWorkbench(context: BuildContext, args: string[]): Promise<number> {
  const folder = path.resolve(args.find((arg) => !arg.startsWith("--")) ?? context.root);
  if (!existsSync(folder)) throw new ActError("usage", `There is no folder ${folder}.`);
  await setUp(context);
  const code = args.includes("--served") ? null : onPath(process.platform === "win32" ? "code.cmd" : "code");
  if (code) {
    // Windows starts .cmd files by the shell only; there is nothing of the user's in these arguments but the folder.
    const child = spawn(code, [`--extensionDevelopmentPath=${context.root}`, folder], {
      stdio: "inherit",
      shell: process.platform === "win32",
    });
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (status) => resolve(status ?? 1));
    });
  }
  const { file } = await packageExtension(context, "native");
  const workbench = installWorkbench(console.log);
  const home = path.join(context.scratch, "workbench");
  const places = { userData: path.join(home, "user"), extensions: path.join(home, "extensions") };
  installVsix(workbench, file, places);
  const served = await serve(workbench, { ...places, logFile: path.join(home, "server.log") });
  console.log(
    `The workbench is open at ${served.url}/?folder=${encodeURIComponent(folder)}\nIt answers on this machine only. Ctrl+C ends it.`,
  );
  const ended = new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
    served.process.once("exit", () => resolve());
  });
  await ended;
  await served.stop();
  return 0;
}
