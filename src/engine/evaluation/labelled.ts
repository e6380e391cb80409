import type { Answer } from "../../core/evaluation/records.js";
import { argmax } from "../../core/numbers/scores.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { SetBatch } from "../run/set-batch.js";
import { labelTokens } from "../search/task-items.js";
import type { Plan, Work } from "./plan.js";
import type { Records, RivalArms } from "./rivals.js";

/** Evaluates the labelled prompts that have no record yet: those that rivals are fitted on first, because they decide how some rivals are judged. */
export async function evaluateLabelled(
  model: Model,
  plan: Plan,
  arms: readonly (Calibration | null)[],
  rivals: RivalArms | null,
  records: Records,
  turn: Turn,
  progress: { evaluated(): void; tell(task: string, done: number, total: number): void },
): Promise<void> {
  const { signal } = turn;
  const { evaluated, tell } = progress;
  const longest = Math.max(
    ...[...plan.works, ...plan.training].map(({ tokens }) => tokens.length),
    ...plan.contentFree.flatMap(({ tokens }) => tokens.map((one) => one.length)),
  );
  await rivals?.tune(plan.training, records, turn, (done, total) => tell("ZeroTuning by gradient", done, total));
  await model.withSegments({ segment: longest * arms.length, contextSize: longest, sequences: arms.length }, async (context) => {
    const batch = new SetBatch(context, turn);
    for (const [index, work] of plan.training.entries()) {
      if (!rivals || records.has({ type: "training", task: work.task.name, repeat: work.repeat, id: work.item.id })) continue;
      await records.add(await rivals.training(batch, work, records.all, signal));
      evaluated();
      tell(`${work.task.name}, training prompts`, index + 1, plan.training.length);
    }
    for (const [index, work] of plan.works.entries()) {
      if (!records.has({ type: "item", task: work.task.name, repeat: work.repeat, id: work.item.id })) {
        const more = rivals?.judged(records.all, work) ?? [];
        const logits = await batch.prompt(work.tokens, [...arms, ...more], signal);
        const [off, on = off] = logits.slice(0, arms.length);
        await records.add({
          type: "item",
          task: work.task.name,
          repeat: work.repeat,
          id: work.item.id,
          label: work.item.label,
          tokens: work.tokens.length,
          off: answerOf(model, work, off as Float32Array),
          on: answerOf(model, work, on as Float32Array),
          ...(rivals && { rivals: rivals.scores(work, logits.slice(arms.length)) }),
        });
        evaluated();
      }
      tell(work.task.name, index + 1, plan.works.length);
    }
    for (const { task, repeat, tokens } of plan.contentFree) {
      if (records.has({ type: "content-free", task: task.name, repeat })) continue;
      const labels = labelTokens(model, task);
      const scores: { off: number[][]; on: number[][] } = { off: [], on: [] };
      for (const one of tokens) {
        const [off, on = off] = await batch.prompt(one, arms, signal);
        scores.off.push(labels.map((token) => (off as Float32Array)[token] as number));
        scores.on.push(labels.map((token) => (on as Float32Array)[token] as number));
      }
      await records.add({ type: "content-free", task: task.name, repeat, ...scores });
    }
  });
  await rivals?.hidden(plan, records, turn, (done, total) => tell("hidden states", done, total));
}

/** The published scoring: the label word's logit for classification, the one greedy token's text for multiple choice. */
function answerOf(model: Model, { task, item }: Work, logits: Float32Array): Answer {
  const scores = labelTokens(model, task, item.choices?.length).map((token) => logits[token] as number);
  if (task.kind === "classification") return { right: argmax(scores) === item.label, scores };
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  const written = model.native.detokenize([best]);
  return { right: written === task.letters[item.label], scores, written };
}
