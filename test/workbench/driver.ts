import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Browser, chromium, type FrameLocator, type Locator, type Page } from "playwright-core";
import { findBrowser, installVsix, installWorkbench, type Served, serve } from "../../scripts/fetch/workbench.js";
import { settings, writeSettings } from "../host/settings.js";

export async function textOf(locator: Locator): Promise<string> {
  return (await locator.textContent()) ?? "";
}

const RESULTS = resolve("test-results/workbench");

export interface DriverOptions {
  vsix: string;
  /** Files of the workspace, by name. */
  files: Record<string, string>;
  settings?: Record<string, unknown>;
  env?: NodeJS.ProcessEnv;
  /** Prefix of the screenshots. */
  name: string;
}

/** A workbench with our VSIX installed, and the hands to use it with. */
export class Driver {
  readonly page: Page;
  private shots = 0;

  private constructor(
    private readonly options: DriverOptions,
    readonly folder: string,
    readonly userData: string,
    private readonly served: Served,
    private readonly browser: Browser,
    page: Page,
  ) {
    this.page = page;
  }

  static async open(options: DriverOptions): Promise<Driver> {
    const executablePath = findBrowser();
    if (!executablePath) throw new Error("no Chromium was found");
    const scratch = mkdtempSync(join(tmpdir(), "act-flow-"));
    const folder = workspace(join(scratch, "workspace"), options.files);
    const workbench = installWorkbench();
    const userData = join(scratch, "user");
    const extensions = join(scratch, "extensions");
    writeSettings(userData, {
      ...settings,
      "editor.fontFamily": "DejaVu Sans Mono",
      "editor.minimap.enabled": false,
      "workbench.reduceMotion": "on",
      "workbench.colorTheme": "Default Dark Modern",
      ...options.settings,
    });
    installVsix(workbench, options.vsix, { userData, extensions });
    const logFile = join(scratch, "server.log");
    const served = await serve(workbench, { userData, extensions, logFile, env: options.env });
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
    const driver = new Driver(options, folder, userData, served, browser, await window(browser));
    try {
      await driver.load();
    } catch (error) {
      await driver.close();
      throw error;
    }
    return driver;
  }

  /** Another window of the same workbench, on a folder of its own; it ends with this one. */
  async another(name: string, files: Record<string, string>): Promise<Driver> {
    const { options, userData, served, browser } = this;
    const folder = workspace(join(this.folder, "..", name), files);
    const driver = new Driver({ ...options, name: `${options.name}-${name}` }, folder, userData, served, browser, await window(browser));
    await driver.load();
    return driver;
  }

  /** Opens the workbench's page, or opens it again as after a window reload. */
  async load(): Promise<void> {
    await this.page.goto(`${this.served.url}/?folder=${encodeURIComponent(this.folder)}`);
    await this.page.locator(".monaco-workbench .statusbar").waitFor({ timeout: 60_000 });
    await this.status().waitFor({ timeout: 60_000 });
  }

  /** Our item in the status bar. */
  status(text?: RegExp): Locator {
    return this.page.locator('[id="act.act-vscode.act.status"]', text ? { hasText: text } : {});
  }

  /** Runs a command by its title, as a user does: F1, type, Enter. Commands of an extension may come some seconds late. */
  async command(title: string): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      await this.page.keyboard.press("F1");
      try {
        await this.choose(`>${title}`, title, 8000);
        return;
      } catch (error) {
        await this.page.keyboard.press("Escape");
        if (attempt >= 5) throw error;
      }
    }
  }

  /** Types into the open pick list and takes the first row that has `text`. By keyboard: a hover over a row covers what the mouse would click. */
  async choose(typed: string, text = typed, limit = 60_000): Promise<void> {
    const input = this.page.locator(".quick-input-widget input.input");
    await input.waitFor();
    await input.fill(typed);
    await this.page.locator(".quick-input-list .monaco-list-row.focused", { hasText: text }).first().waitFor({ timeout: limit });
    await this.page.keyboard.press("Enter");
  }

  /**
   * Answers the workbench's own file dialog. It looks the folder up first, however long that takes: until then it is deaf to Enter, and at the end
   * of it it puts a name of its own into the field.
   */
  async acceptFile(path: string): Promise<void> {
    const input = this.page.locator(".quick-input-widget input.input");
    await input.waitFor({ timeout: 10_000 });
    for (let attempt = 0; await input.isVisible(); attempt++) {
      if (attempt === 60) throw new Error(`The file dialog did not take ${path}.`);
      const kept = (await input.inputValue()) === path;
      if (kept) await this.page.keyboard.press("Enter");
      else await input.fill(path);
      await this.page.waitForTimeout(500);
    }
  }

  async openFile(name: string): Promise<void> {
    await this.page.keyboard.press("Control+p");
    await this.choose(name, name.split("/").at(-1));
    await this.page.locator(`.tab.active[data-resource-name="${name.split("/").at(-1)}"]`).waitFor();
  }

  /** Puts the cursor at the end of the open file. */
  async toEnd(): Promise<void> {
    await this.page.locator(".editor-instance .view-lines").first().click();
    await this.page.keyboard.press("Control+End");
  }

  ghostText(): Locator {
    return this.page.locator('.editor-instance [class*="ghost-text"]');
  }

  /** Text of the open editor as it is drawn, blanks made plain. */
  async editorText(): Promise<string> {
    const lines = await this.page.locator(".editor-instance .view-line").allInnerTexts();
    return lines.join("\n").replaceAll("\u00a0", " ");
  }

  notification(text: string | RegExp): Locator {
    return this.page.locator(".notifications-toasts .notification-list-item", { hasText: text });
  }

  /** Presses a button of a notification. */
  async press(notification: Locator, label: string): Promise<void> {
    await notification.locator(".monaco-button", { hasText: label }).dispatchEvent("click");
  }

  /** The view or panel whose page has this element. */
  frame(index = 0): FrameLocator {
    return this.page.frameLocator("iframe.webview.ready").nth(index).frameLocator("iframe#active-frame");
  }

  /** Process ids of the engines that this workbench's extension started. */
  enginePids(): number[] {
    return readdirSync("/proc").flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
        return command.includes(`${this.userData.replace(/user$/, "extensions")}/`) && command.includes("engine.mjs") ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  }

  async screenshot(name: string): Promise<string> {
    mkdirSync(RESULTS, { recursive: true });
    // Fading in is part of the workbench, not of what is looked at.
    await this.page.waitForTimeout(300);
    const file = join(RESULTS, `${this.options.name}-${String(++this.shots).padStart(2, "0")}-${name.replace(/[^\w]+/g, "-")}.png`);
    await this.page.screenshot({ path: file });
    return file;
  }

  /** A picture of part of the window, for README and walkthrough. Written to media/ only where ACT_PICTURES asks for it. */
  async picture(name: string, clip: { x: number; y: number; width: number; height: number }): Promise<void> {
    const file = process.env.ACT_PICTURES ? resolve("media", `${name}.png`) : join(RESULTS, `${name}.png`);
    mkdirSync(RESULTS, { recursive: true });
    await this.page.screenshot({ path: file, clip });
  }

  /** Closes everything; throws when the extension host crashed meanwhile. */
  async close(): Promise<void> {
    await this.browser.close();
    await this.served.stop();
    const log = join(this.userData, "..", "server.log");
    const text = existsSync(log) ? readFileSync(log, "utf8") : "";
    mkdirSync(RESULTS, { recursive: true });
    if (existsSync(log)) cpSync(log, join(RESULTS, `${this.options.name}-server.log`));
    rmSync(join(this.userData, ".."), { recursive: true, force: true, maxRetries: 5 });
    if (/Extension Host Process exited with code: (?!0,)/.test(text)) throw new Error("The extension host crashed during this flow.");
  }
}

function workspace(folder: string, files: Record<string, string>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

async function window(browser: Browser): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  // A machine that builds and tests at once is slow, not wrong.
  page.setDefaultTimeout(60_000);
  return page;
}
