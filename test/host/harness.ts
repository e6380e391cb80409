/**
 * A small test runner for inside the extension host, where node:test cannot own the process. It writes every result to the file named
 * by ACT_HOST_RESULTS; the outer test reads that file, so a host that died is a missing or short file, never a silent success.
 */
import { writeFileSync } from "node:fs";

export interface HostResult {
  name: string;
  ms: number;
  error?: string;
}

export interface HostResults {
  /** Every test that was registered; more than `results` when the host died in between. */
  registered: string[];
  results: HostResult[];
  finished: boolean;
}

const tests: { name: string; body: () => Promise<void> | void; limitMs: number }[] = [];

export function test(name: string, body: () => Promise<void> | void, limitMs = 60_000): void {
  tests.push({ name, body, limitMs });
}

/** Runs what was registered, in order; throws when a test failed or none was there. */
export async function runAll(): Promise<void> {
  const out = process.env.ACT_HOST_RESULTS;
  if (!out) throw new Error("ACT_HOST_RESULTS must name the results file");
  const only = process.env.ACT_HOST_ONLY ? new RegExp(process.env.ACT_HOST_ONLY) : null;
  const chosen = tests.filter((t) => !only || only.test(t.name));
  const state: HostResults = { registered: chosen.map((t) => t.name), results: [], finished: false };
  const save = () => writeFileSync(out, JSON.stringify(state, null, 1));
  save();
  for (const { name, body, limitMs } of chosen) {
    const started = performance.now();
    const error = await settle(body, limitMs);
    state.results.push({ name, ms: Math.round(performance.now() - started), ...(error ? { error } : {}) });
    console.log(`${error ? "not ok" : "ok"} ${name}${error ? `\n${error}` : ""}`);
    save();
  }
  state.finished = true;
  save();
  const failed = state.results.filter((r) => r.error).length;
  if (chosen.length === 0) throw new Error("no test was registered");
  if (failed > 0) throw new Error(`${failed} of ${chosen.length} tests failed`);
}

async function settle(body: () => Promise<void> | void, limitMs: number): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    await Promise.race([Promise.resolve().then(body), limit]);
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until `probe` answers something truthy. */
export async function until<T>(what: string, probe: () => T | Promise<T>, limitMs = 45_000): Promise<NonNullable<T>> {
  for (const end = Date.now() + limitMs; ; ) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
