import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { SetBatch } from "../run/set-batch.js";

/** The hidden state of each prompt's last token behind the last layer, without calibration, one prompt after the other. @throws ActError `cancelled` */
export async function hiddenStates(
  model: Model,
  prompts: readonly (readonly number[])[],
  turn: Turn,
  take: (state: Float32Array, index: number) => Promise<void>,
): Promise<void> {
  if (prompts.length === 0) return;
  const longest = Math.max(...prompts.map((tokens) => tokens.length));
  await model.withSegments({ segment: longest, embeddings: true }, async (context) => {
    const batch = new SetBatch(context, turn);
    for (const [index, tokens] of prompts.entries()) {
      await batch.untilDone(turn.signal, async (stop) => {
        batch.begin([null]);
        return await batch.decode(tokens, 0, 1, stop, true);
      });
      await take(context.lastHiddenState(tokens.length), index);
    }
  });
}
