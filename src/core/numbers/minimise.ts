/** The value at `x`; writes the gradient into `gradient`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

export interface MinimiseOptions {
  /** Most steps; each costs about one evaluation. */
  steps?: number;
  /** Stops where no entry of the gradient is larger. */
  tolerance?: number;
  /** Called between steps, so that long work can let others in. */
  rest?: () => Promise<void>;
}

/** Earlier steps that estimate the curvature. */
const MEMORY = 8;

const dot = (a: Float64Array, b: Float64Array) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};

/**
 * The minimum of a smooth convex function by L-BFGS with a backtracking line search (Nocedal and Wright 2006, algorithms 7.4 and 3.1).
 * Where no step lowers the value any more, what was reached is the answer.
 */
export async function minimise(objective: Objective, start: Float64Array, options: MinimiseOptions = {}): Promise<Float64Array> {
  const { steps = 200, tolerance = 1e-5, rest } = options;
  let x = start.slice();
  let gradient = new Float64Array(x.length);
  let value = objective(x, gradient);
  const pairs: { step: Float64Array; change: Float64Array; curvature: number }[] = [];
  for (let k = 0; k < steps; k++) {
    if (gradient.every((g) => Math.abs(g) <= tolerance)) break;
    await rest?.();
    const direction = descent(gradient, pairs);
    const slope = dot(direction, gradient);
    let size = pairs.length === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1;
    let next = x;
    const nextGradient = new Float64Array(x.length);
    let nextValue = Number.POSITIVE_INFINITY;
    for (; size > 1e-12; size /= 2) {
      next = x.map((entry, i) => entry + size * (direction[i] as number));
      nextValue = objective(next, nextGradient);
      if (nextValue <= value + 1e-4 * size * slope) break;
    }
    if (!(nextValue < value)) break;
    const step = next.map((entry, i) => entry - (x[i] as number));
    const change = nextGradient.map((entry, i) => entry - (gradient[i] as number));
    const curvature = dot(step, change);
    if (curvature > 1e-12) pairs.push({ step, change, curvature });
    if (pairs.length > MEMORY) pairs.shift();
    x = next;
    gradient = nextGradient;
    value = nextValue;
  }
  return x;
}

/** Minus the gradient times the estimated inverse curvature (the two-loop recursion). */
function descent(gradient: Float64Array, pairs: readonly { step: Float64Array; change: Float64Array; curvature: number }[]): Float64Array {
  const direction = gradient.map((g) => -g);
  const weights: number[] = [];
  for (const { step, change, curvature } of [...pairs].reverse()) {
    const weight = dot(step, direction) / curvature;
    weights.unshift(weight);
    change.forEach((entry, i) => {
      direction[i] = (direction[i] as number) - weight * entry;
    });
  }
  const last = pairs.at(-1);
  const scale = last ? last.curvature / dot(last.change, last.change) : 1;
  for (let i = 0; i < direction.length; i++) direction[i] = (direction[i] as number) * scale;
  pairs.forEach(({ step, change, curvature }, p) => {
    const weight = (weights[p] as number) - dot(change, direction) / curvature;
    step.forEach((entry, i) => {
      direction[i] = (direction[i] as number) + weight * entry;
    });
  });
  return direction;
}
