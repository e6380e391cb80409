/** Panels from their fixtures in a real browser: bundles them, serves them on loopback under the product's content policy, opens pages. */
import fs from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { findBrowser } from "../../scripts/fetch/workbench.js";
import type { ThemeKind } from "../../src/core/picture/colour.js";

export type View = "sinks" | "calibrate" | "chat";
export const THEMES: readonly ThemeKind[] = ["light", "dark", "hc-light", "hc-dark"];
const SCREENSHOTS = path.resolve("test-results/panels");
const NONCE = "fixture";
/** The policy of src/host/webview.ts. */
const POLICY = `default-src 'none'; script-src 'nonce-${NONCE}' 'strict-dynamic'; style-src 'self' 'nonce-${NONCE}'; img-src 'self' blob:; font-src 'self'`;

export interface OpenOptions {
  case?: string;
  theme?: ThemeKind;
  width?: number;
  height?: number;
}

export interface Bed {
  open(view: View, options?: OpenOptions): Promise<Page>;
  /** Pictures for people, under test-results/panels. */
  screenshot(page: Page, name: string): Promise<void>;
  close(): Promise<void>;
}

/** Why the panels cannot be opened here, or false. */
export const missing = findBrowser() ? false : "no Chromium: install one, or set ACT_CHROMIUM";

export async function openBed(): Promise<Bed> {
  const executablePath = findBrowser();
  if (!executablePath) throw new Error("no Chromium was found");
  const files = await bundleFixtures();
  const server = http.createServer((request, response) => {
    const name = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
    const file = files.get(name);
    if (file) response.writeHead(200, { "content-type": name.endsWith(".css") ? "text/css" : "text/javascript" }).end(file);
    else if (files.has(`${name}.js`))
      response.writeHead(200, { "content-type": "text/html", "content-security-policy": POLICY }).end(pageOf(name));
    else response.writeHead(name === "favicon.ico" ? 204 : 404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser: Browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info", "--js-flags=--expose-gc"],
  });
  return {
    open: async (view, options = {}) => {
      const { theme = "dark", width = 1280, height = 900 } = options;
      const page = await browser.newPage({ viewport: { width, height } });
      const problems: string[] = [];
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        const complaint = message.type() === "error" || message.type() === "warning";
        // The tests read pixels back themselves; the panels never do.
        if (complaint && !message.text().includes("willReadFrequently")) problems.push(message.text());
      });
      await page.goto(`${origin}/${view}?theme=${theme}&case=${options.case ?? "small"}`);
      await page.locator("#root > *").first().waitFor({ timeout: 20_000 });
      problemsOf.set(page, problems);
      return page;
    },
    screenshot: async (page, name) => {
      await fs.mkdir(SCREENSHOTS, { recursive: true });
      await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`), fullPage: true });
    },
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

const problemsOf = new WeakMap<Page, string[]>();

/** What the page complained about so far: exceptions, console errors and warnings, violations of the content policy. */
export function problems(page: Page): readonly string[] {
  return problemsOf.get(page) ?? [];
}

async function bundleFixtures(): Promise<Map<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: ["webview/fixtures/sinks.ts", "webview/fixtures/calibrate.ts", "webview/fixtures/chat.ts"],
    bundle: true,
    platform: "browser",
    target: "es2022",
    format: "esm",
    write: false,
    outdir: "out",
    logLevel: "warning",
  });
  return new Map(outputFiles.map(({ path: file, contents }) => [path.basename(file), contents]));
}

function pageOf(view: string): string {
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta property="csp-nonce" content="${NONCE}"><title>${view}</title><link rel="stylesheet" href="/${view}.css"></head><body><main id="root"></main><script type="module" nonce="${NONCE}" src="/${view}.js"></script></body></html>`;
}
