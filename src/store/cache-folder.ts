import os from "node:os";
import path from "node:path";

/** Where downloads, builds and the user's files live. `ACT_CACHE` overrides it; otherwise the platform's own cache folder. */
export function cacheFolder(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  home = os.homedir(),
): string {
  if (env.ACT_CACHE) return path.resolve(env.ACT_CACHE);
  if (platform === "win32") return path.join(env.LOCALAPPDATA || path.join(home, "AppData", "Local"), "act-vscode");
  if (platform === "darwin") return path.join(home, "Library", "Caches", "act-vscode");
  return path.join(env.XDG_CACHE_HOME || path.join(home, ".cache"), "act-vscode");
}
