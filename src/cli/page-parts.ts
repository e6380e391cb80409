import { readFile } from "node:fs/promises";
import path from "node:path";
import type { PageParts } from "../core/sinks/html.js";

/** Script and style of the sink page, which lie among the product's bundles. @param dist the folder of the bundles */
export async function readPageParts(dist: string): Promise<PageParts> {
  const part = (ending: string) => readFile(path.join(dist, "webview", `sink-page.${ending}`), "utf8");
  return { script: await part("js"), style: await part("css") };
}
