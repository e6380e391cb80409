import type { ThemeKind } from "../src/core/picture/colour.js";

const KINDS: Record<string, ThemeKind> = {
  "vscode-light": "light",
  "vscode-dark": "dark",
  "vscode-high-contrast": "hc-dark",
  "vscode-high-contrast-light": "hc-light",
};

/** The kind of theme that VS Code writes on the body of every webview. */
export function themeKind(): ThemeKind {
  return KINDS[document.body.dataset.vscodeThemeKind ?? ""] ?? "dark";
}

export function onThemeChange(changed: () => void): void {
  let kind = themeKind();
  new MutationObserver(() => {
    if (themeKind() === kind) return;
    kind = themeKind();
    changed();
  }).observe(document.body, { attributes: true, attributeFilter: ["data-vscode-theme-kind"] });
}

/** A theme colour as VS Code hands it to the page, for canvas. */
export function themeColour(name: string, fallback: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--vscode-${name}`).trim() || fallback;
}
