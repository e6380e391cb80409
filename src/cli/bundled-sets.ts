import type { BundledSets } from "./head-set.js";

/** Head sets that come with the product. */
export const bundledSet: BundledSets = async () => undefined;
