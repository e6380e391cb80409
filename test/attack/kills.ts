// The engine is killed at random moments of its work. Every request settles, and the model answers again.
import { integer, random } from "../../src/core/numbers/random.js";
import { quantile } from "../../src/core/numbers/timing.js";
import { ActError } from "../../src/protocol/errors.js";
import { type Attack, openBench, Tally } from "./attack.js";

/** Far above the two seconds that a quiet machine must do it in: what is wrong takes for ever. */
const MOST_MS = 20_000;

export const kills: Attack = {
  does: "SIGKILL of the engine at random moments of loading, completing, chatting and looking",
  shortRounds: 12,
  async run({ seed, rounds, until, say }) {
    const { model, client, load: loadFile, close } = openBench(2);
    const load = () => loadFile(model);
    const tally = new Tally();
    const broken: string[] = [];
    const back: number[] = [];
    let round = 0;
    try {
      await load();
      for (; round < rounds && performance.now() < until; round++) {
        const rng = random(seed * 1_000_003 + round);
        const calibration = null;
        const work = [
          () => client.request("complete", { prompt: "a be c", maxTokens: 100, calibration }),
          () => client.request("chat", { messages: [{ role: "user", content: "a be" }], maxTokens: 100, calibration }),
          () => client.request("logits", { prompt: "a be c de ".repeat(20), calibration }),
          load,
        ];
        const pending = Array.from({ length: 1 + integer(rng, 4) }, () => work[integer(rng, work.length)]?.());
        const settled = Promise.allSettled(pending);
        await new Promise((resolve) => setTimeout(resolve, integer(rng, 60)));
        const started = performance.now();
        if (client.pid !== undefined) process.kill(client.pid, "SIGKILL");
        const place = `kills --seed ${seed}, round ${round}`;
        const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), MOST_MS).unref());
        const results = await Promise.race([settled, late]);
        if (!results) broken.push(`${place}: a request never settled`);
        for (const result of results ?? []) {
          const code =
            result.status === "fulfilled" ? "done" : result.reason instanceof ActError ? result.reason.code : String(result.reason);
          tally.add(code);
          if (!["done", "engine-gone", "usage"].includes(code)) broken.push(`${place}: a request ended with ${code}`);
        }
        try {
          await client.request("complete", { prompt: "a be", maxTokens: 2, calibration });
        } catch {
          // A kill inside a load leaves no model to load again; its owner loads it.
          await load();
          await client.request("complete", { prompt: "a be", maxTokens: 2, calibration });
        }
        back.push(performance.now() - started);
        if ((back.at(-1) ?? 0) > MOST_MS) broken.push(`${place}: back only after ${Math.round(back.at(-1) ?? 0)} ms`);
        if (round % 50 === 49) say(`${round + 1} kills: ${JSON.stringify(tally.outcomes)}`);
      }
    } finally {
      close();
    }
    if (back.length > 0) {
      tally.outcomes["ms until it answers again, median"] = Math.round(quantile(back, 0.5));
      tally.outcomes["ms until it answers again, most"] = Math.round(Math.max(...back));
    }
    return { rounds: round, outcomes: tally.outcomes, broken };
  },
};
