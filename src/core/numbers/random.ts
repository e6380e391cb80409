/** Seeded, reproducible on every machine. */
export type Random = () => number;

/** Uniform numbers in [0, 1) from a 32-bit seed (sfc32, its state spread by splitmix32). */
export function random(seed: number): Random {
  let s = seed | 0;
  const spread = () => {
    s = (s + 0x9e3779b9) | 0;
    let t = s ^ (s >>> 16);
    t = Math.imul(t, 0x21f0aaad);
    t ^= t >>> 15;
    t = Math.imul(t, 0x735a2d97);
    return t ^ (t >>> 15);
  };
  let a = spread();
  let b = spread();
  let c = spread();
  let counter = 1;
  const next = () => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** A seed for a named part of a run, so that parts do not share random numbers. */
export function derivedSeed(seed: number, name: string): number {
  let hash = 0x811c9dc5 ^ seed;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash | 0;
}

export function integer(rng: Random, below: number): number {
  return Math.floor(rng() * below);
}

/** `count` distinct elements in random order (all of them: a shuffle). */
export function choose<T>(from: readonly T[], count: number, rng: Random): T[] {
  if (count > from.length) throw new RangeError(`Cannot choose ${count} of ${from.length}.`);
  const pool = from.slice();
  for (let i = 0; i < count; i++) {
    const j = i + integer(rng, pool.length - i);
    [pool[i], pool[j]] = [pool[j] as T, pool[i] as T];
  }
  return pool.slice(0, count);
}

export function shuffled<T>(items: readonly T[], rng: Random): T[] {
  return choose(items, items.length, rng);
}

/** A standard normal number (Box and Muller). */
export function normal(rng: Random): number {
  return Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());
}
