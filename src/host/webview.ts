import { randomBytes } from "node:crypto";
import * as v from "valibot";
import * as vscode from "vscode";
import type { Log } from "./log.js";

/**
 * The page of a view: one script, one style sheet, nothing else. Every script and style needs the nonce or comes from dist/webview; images come from
 * there too or are made in the page (blob:).
 */
export function pageFor(webview: vscode.Webview, extension: vscode.Uri, view: string, title: string): string {
  const nonce = randomBytes(16).toString("base64");
  const file = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(extension, "dist", "webview", name)).toString();
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${webview.cspSource} 'nonce-${nonce}'`,
    `img-src ${webview.cspSource} blob:`,
    `font-src ${webview.cspSource}`,
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta property="csp-nonce" content="${nonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="stylesheet" nonce="${nonce}" href="${file(`${view}.css`)}">
</head>
<body>
<main id="root"></main>
<script nonce="${nonce}" src="${file(`${view}.js`)}"></script>
</body>
</html>`;
}

export interface WebviewOptions<In extends v.GenericSchema, Out extends v.GenericSchema> {
  extension: vscode.Uri;
  /** Name of the bundle in dist/webview. */
  view: string;
  title: string;
  fromView: In;
  toView: Out;
  log: Log;
  onMessage(message: v.InferOutput<In>): void | Promise<void>;
}

export interface Connection<Out> {
  /** Sends a whole snapshot. Hidden views drop messages, so each must be complete in itself. */
  push(message: Out): void;
}

/** Fills a webview with one of our views and connects it. What arrives from it is checked: a message that does not fit is logged and dropped. */
export function connectWebview<In extends v.GenericSchema, Out extends v.GenericSchema>(
  webview: vscode.Webview,
  options: WebviewOptions<In, Out>,
): Connection<v.InferInput<Out>> & vscode.Disposable {
  const { extension, view, title, fromView, toView, log, onMessage } = options;
  webview.options = {
    enableScripts: true,
    enableForms: false,
    enableCommandUris: false,
    localResourceRoots: [vscode.Uri.joinPath(extension, "dist", "webview")],
  };
  const listening = webview.onDidReceiveMessage(async (raw: unknown) => {
    const message = v.safeParse(fromView, raw);
    if (!message.success) return log.warn(`A message from the ${view} view does not fit and was dropped: ${v.summarize(message.issues)}`);
    try {
      await onMessage(message.output);
    } catch (error) {
      log.error(`The ${view} view's request failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
  webview.html = pageFor(webview, extension, view, title);
  let disposed = false;
  return {
    push: (message) => {
      if (disposed) return;
      const checked = v.safeParse(toView, message);
      if (!checked.success) return log.error(`A message to the ${view} view does not fit and was not sent: ${v.summarize(checked.issues)}`);
      void webview.postMessage(checked.output);
    },
    dispose: () => {
      disposed = true;
      listening.dispose();
    },
  };
}
