import type { Attack } from "./attack.js";
import { files } from "./files.js";
import { kills } from "./kills.js";
import { wire } from "./wire.js";

export const ATTACKS: Readonly<Record<string, Attack>> = { files, kills, wire };
