/** Scores of a prompt's answers (logits) as probabilities. */

/** Index of the highest score; the first wins a tie, as argmax does. */
export function argmax(scores: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if ((scores[i] as number) > (scores[best] as number)) best = i;
  return best;
}

/** Log-probabilities in nats: scores minus the logarithm of the sum of their exponentials. */
export function logSoftmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const logSum = most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
  return scores.map((score) => score - logSum);
}

export function softmax(scores: readonly number[]): number[] {
  return logSoftmax(scores).map(Math.exp);
}
