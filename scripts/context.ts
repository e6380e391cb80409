import path from "node:path";
import { cacheFolder } from "../src/store/cache-folder.js";

/** The places that every build step works with. */
export interface BuildContext {
  /** Repository root. */
  root: string;
  /** User cache: downloads and finished binaries, shared by all clones. */
  cache: string;
  /** `.cache` in the repository: bundles and build trees of this clone. */
  scratch: string;
  /** The installed node-llama-cpp package. */
  nodeLlamaCpp: string;
}

export function buildContext(root: string): BuildContext {
  return {
    root,
    cache: cacheFolder(),
    scratch: path.join(root, ".cache"),
    nodeLlamaCpp: path.join(root, "node_modules", "node-llama-cpp"),
  };
}
