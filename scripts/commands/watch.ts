// `watch`: the bundles of the product, written anew whenever a source changes. The set-up (engine, model) is done once before.
import type { BuildContext } from "../context.js";
import { watchProduct } from "../lib/bundle.js";
import { setUp } from "./set-up.js";

export async function watch(context: BuildContext): Promise<number> {
  await setUp(context);
  const stop = await watchProduct(context);
  console.log("watching src and webview for changes; Ctrl+C ends it");
  await new Promise<void>((resolve) => process.once("SIGINT", resolve));
  await stop();
  return 0;
}
