/** Adam (Kingma and Ba 2015) over the strengths of heads, with decay towards "off" apart from the moments (Loshchilov and Hutter 2019). */

export interface AdamOptions {
  /** How far a strength moves in one step at most, about. */
  rate: number;
  /** Share of `rate` by which every strength falls back towards 0 in a step. */
  decay: number;
}

const FIRST = 0.9;
const SECOND = 0.99;

/** Strengths g = 1 - beta, in [-1, 1]: beta in [0, 2]. */
export class Adam {
  private readonly strengths: Float64Array;
  private readonly first: Float64Array;
  private readonly second: Float64Array;
  private steps = 0;

  constructor(
    size: number,
    private readonly options: AdamOptions,
  ) {
    this.strengths = new Float64Array(size);
    this.first = new Float64Array(size);
    this.second = new Float64Array(size);
  }

  /** One step down the slope. @param slopes mean dLoss/dg over a few prompts */
  step(slopes: ArrayLike<number>): void {
    const { rate, decay } = this.options;
    this.steps++;
    for (let i = 0; i < this.strengths.length; i++) {
      const slope = slopes[i] ?? 0;
      const first = FIRST * (this.first[i] as number) + (1 - FIRST) * slope;
      const second = SECOND * (this.second[i] as number) + (1 - SECOND) * slope * slope;
      this.first[i] = first;
      this.second[i] = second;
      const size = Math.sqrt(second / (1 - SECOND ** this.steps));
      const move = size > 0 ? first / (1 - FIRST ** this.steps) / size : 0;
      const old = this.strengths[i] as number;
      this.strengths[i] = Math.max(-1, Math.min(1, old - rate * (move + decay * old)));
    }
  }

  /** Beta of every head, rounded to what a head set keeps: what is measured is exactly what is applied. */
  get betas(): number[] {
    return Array.from(this.strengths, (strength) => Number((1 - strength).toFixed(3)));
  }
}
