import type { Attack } from "./attack.js";
import { files } from "./files.js";

export const ATTACKS: Readonly<Record<string, Attack>> = { files };
