// What every attack is: a seeded campaign against the product as it is, whose rounds can be repeated from the line they print.

export interface AttackOptions {
  seed: number;
  /** Rounds to make; fewer where the time is over. */
  rounds: number;
  /** When to stop, as of `performance.now()`. */
  until: number;
  say(line: string): void;
}

export interface AttackReport {
  rounds: number;
  /** What the rounds came to, counted. */
  outcomes: Record<string, number>;
  /** A sentence with its seed and round for each thing that must not happen. Empty where the attack was withstood. */
  broken: string[];
}

export interface Attack {
  does: string;
  /** Rounds of the short form, in `npm test`. */
  shortRounds: number;
  run(options: AttackOptions): Promise<AttackReport>;
}

/** Counts outcomes. */
export class Tally {
  readonly outcomes: Record<string, number> = {};
  add(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }
}
