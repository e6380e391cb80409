import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { ActError } from "../../protocol/errors.js";
import { availableMemory } from "../../store/free-memory.js";

const EntrySchema = v.object({ pid: v.number(), model: v.string(), bytes: v.number() });
type Entry = v.InferOutput<typeof EntrySchema>;

/** Which windows have which model loaded: one small file per engine process. Files of dead processes are removed when seen. */
export class EngineRegistry {
  private own: string | null = null;

  constructor(private readonly folder: string) {}

  note(pid: number | undefined, model: string, bytes: number): void {
    this.forget();
    if (pid === undefined) return;
    mkdirSync(this.folder, { recursive: true });
    this.own = join(this.folder, `${pid}.json`);
    writeFileSync(this.own, JSON.stringify({ pid, model, bytes } satisfies Entry));
  }

  forget(): void {
    if (this.own) rmSync(this.own, { force: true });
    this.own = null;
  }

  /** Engines of other windows that are alive. */
  others(): Entry[] {
    let names: string[];
    try {
      names = readdirSync(this.folder);
    } catch {
      return [];
    }
    return names.flatMap((name) => {
      const file = join(this.folder, name);
      if (file === this.own) return [];
      try {
        const entry = v.parse(EntrySchema, JSON.parse(readFileSync(file, "utf8")));
        process.kill(entry.pid, 0);
        return [entry];
      } catch {
        rmSync(file, { force: true });
        return [];
      }
    });
  }
}

/**
 * Refuses a model that cannot be loaded, before the engine tries. The weights are mapped from the file, so windows that have the same
 * model loaded share them; another model must fit beside them.
 */
export async function checkMemory(path: string, registry: EngineRegistry): Promise<void> {
  const file = await stat(path).catch(() => null);
  if (!file?.isFile())
    throw new ActError("model-file", `The model file ${path} is not there. Choose another model, or correct the setting act.model.path.`);
  const others = registry.others();
  const shared = others.some((other) => other.model === path);
  const needed = shared ? 0 : file.size;
  const available = availableMemory();
  if (needed <= available) return;
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const busy =
    others.length === 0
      ? ""
      : ` ${others.length === 1 ? "Another window has" : `${others.length} other windows have`} a model loaded (${gib(others.reduce((sum, o) => sum + o.bytes, 0))}): stop its engine first, or choose the same model there and share it.`;
  throw new ActError(
    "model-memory",
    `The model needs ${gib(needed)} of memory and ${gib(available)} are free.${busy} Choose a smaller model, or close other programs.`,
  );
}
