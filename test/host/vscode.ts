/**
 * Poses as the VS Code executable for `@vscode/test-electron`: takes its arguments, starts the served workbench with the extension
 * under development and its test module, and leaves with the code the tests ended with. An extension host that crashes in the
 * middle makes the workbench report success, so its log is searched for that.
 */
import { createWriteStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { findBrowser, installWorkbench, serve } from "../../scripts/fetch/workbench.js";
import { settings, writeSettings } from "./settings.js";

const CRASHED = /Extension Host Process exited with code: (?!0,)/;
const LIMIT_MS = Number(process.env.ACT_HOST_TEST_LIMIT_MS ?? 600_000);

function argument(name: string): string | undefined {
  const prefix = `--${name}=`;
  return process.argv.find((a) => a.startsWith(prefix))?.slice(prefix.length);
}

async function main(): Promise<number> {
  const tests = argument("extensionTestsPath");
  const extension = argument("extensionDevelopmentPath");
  const userData = argument("user-data-dir");
  const folder = process.argv.slice(2).find((a) => !a.startsWith("-"));
  if (!tests || !extension || !userData) throw new Error("expected --extensionTestsPath, --extensionDevelopmentPath and --user-data-dir");
  const browser = findBrowser();
  if (!browser) throw new Error("no Chromium was found");

  const extra = process.env.ACT_HOST_SETTINGS ? (JSON.parse(process.env.ACT_HOST_SETTINGS) as Record<string, unknown>) : {};
  writeSettings(userData, { ...settings, ...extra });
  const logFile = join(userData, "server.log");
  const served = await serve(installWorkbench(), {
    userData,
    extensions: argument("extensions-dir") ?? join(userData, "ext"),
    smokeDriver: true,
    logFile,
  });
  const chrome = await chromium.launch({ executablePath: browser, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const page = await chrome.newPage({ viewport: { width: 1400, height: 900 } });
    const ended = new Promise<number>((resolve) => void page.exposeFunction("codeAutomationExit", resolve));
    // The workbench logs everything through here, native modules it does not have included: the suite's own lines go on, the rest to a file.
    const transcript = createWriteStream(join(userData, "workbench.log"));
    await page.exposeFunction("codeAutomationLog", (_type: string, args: unknown[]) => {
      const line = args.map((a) => (typeof a === "string" ? a : JSON.stringify(a))).join(" ");
      transcript.write(`${line}\n`);
      if (/^(not )?ok /.test(line)) console.log(line);
    });
    const remote = (path: string) => `vscode-remote://127.0.0.1:${served.port}${path}`;
    const payload = JSON.stringify([
      ["extensionDevelopmentPath", remote(extension)],
      ["extensionTestsPath", remote(tests)],
    ]);
    const query = new URLSearchParams({ payload, ...(folder ? { folder } : { ew: "true" }) });
    await page.goto(`${served.url}/?${query}`);
    const timer = new Promise<number>((resolve) => setTimeout(resolve, LIMIT_MS, -1));
    const crash = new Promise<number>((resolve) => {
      const poll = setInterval(() => {
        if (!CRASHED.test(readFileSync(logFile, "utf8"))) return;
        clearInterval(poll);
        resolve(-2);
      }, 500);
      poll.unref();
    });
    const code = await Promise.race([ended, timer, crash]);
    if (code === -1) console.error(`The suite did not end within ${LIMIT_MS / 1000} s.`);
    if (code !== 0) await page.screenshot({ path: join(userData, "end.png") }).catch(() => undefined);
    if (code === -2 || CRASHED.test(readFileSync(logFile, "utf8"))) {
      console.error("The extension host crashed.");
      return 70;
    }
    return code === -1 ? 71 : code;
  } finally {
    await chrome.close();
    await served.stop();
  }
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(72);
  },
);
