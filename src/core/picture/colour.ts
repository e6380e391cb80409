/**
 * Colour scales for attention. Computed in OKLab with a lightness that only ever rises (or only ever falls), so that the order of
 * two values can be read without seeing their hue: by people with any colour blindness, and in a grey print.
 */

/** The four kinds of theme that VS Code knows. */
export type ThemeKind = "light" | "dark" | "hc-light" | "hc-dark";

/** Red, green, blue, 0..255. */
export type Rgb = readonly [number, number, number];

/** A lookup table of 256 colours. */
export type Palette = readonly Rgb[];

/** OKLab a and b at equal steps of the scale; lightness is linear between its two ends. */
interface Ramp {
  lightness: readonly [number, number];
  ab: readonly (readonly [number, number])[];
}

const DARK_PATH = [
  [0, -0.015],
  [0.0, -0.115],
  [-0.085, -0.045],
  [-0.13, 0.085],
  [-0.045, 0.165],
] as const;
const LIGHT_PATH = [
  [0, 0.004],
  [-0.065, 0.075],
  [-0.085, -0.02],
  [-0.015, -0.125],
  [0.035, -0.13],
] as const;

const SEQUENTIAL: Record<ThemeKind, Ramp> = {
  dark: { lightness: [0.235, 0.95], ab: DARK_PATH },
  "hc-dark": { lightness: [0, 0.98], ab: DARK_PATH },
  light: { lightness: [0.985, 0.3], ab: LIGHT_PATH },
  "hc-light": { lightness: [1, 0.22], ab: LIGHT_PATH },
};

/** Orange below zero, the paper at zero, blue above: the pair that every common colour blindness keeps apart. */
const NEGATIVE_AB = [0.075, 0.13] as const;
const POSITIVE_AB = [-0.055, -0.13] as const;
const DIVERGING_LIGHTNESS: Record<ThemeKind, readonly [number, number]> = {
  dark: [0.3, 0.8],
  "hc-dark": [0.1, 0.8],
  light: [0.97, 0.48],
  "hc-light": [1, 0.42],
};

/** What lies above the diagonal: no attention can be there, so it is neither a value nor the paper. */
const UPPER_TRIANGLE: Record<ThemeKind, Rgb> = {
  dark: [58, 58, 62],
  "hc-dark": [64, 64, 64],
  light: [226, 226, 230],
  "hc-light": [200, 200, 200],
};

const palettes = new Map<string, Palette>();

/** 256 colours for values from 0 (index 0, close to the theme's paper) to the largest (index 255). */
export function sequentialPalette(theme: ThemeKind): Palette {
  return cached(`sequential ${theme}`, () => {
    const { lightness, ab } = SEQUENTIAL[theme];
    return table((t) => {
      const place = t * (ab.length - 1);
      const from = Math.min(Math.floor(place), ab.length - 2);
      const start = ab[from] as readonly [number, number];
      const end = ab[from + 1] as readonly [number, number];
      return oklabToRgb(mix(lightness[0], lightness[1], t), mix(start[0], end[0], place - from), mix(start[1], end[1], place - from));
    });
  });
}

/** 256 colours for values from -max (index 0) over 0 (between 127 and 128) to +max (index 255). */
export function divergingPalette(theme: ThemeKind): Palette {
  return cached(`diverging ${theme}`, () => {
    const [paper, ink] = DIVERGING_LIGHTNESS[theme];
    return table((t) => {
      const signed = 2 * t - 1;
      const strength = Math.abs(signed);
      const [a, b] = signed < 0 ? NEGATIVE_AB : POSITIVE_AB;
      return oklabToRgb(mix(paper, ink, strength), a * strength, b * strength);
    });
  });
}

export function upperTriangleColour(theme: ThemeKind): Rgb {
  return UPPER_TRIANGLE[theme];
}

/** Black or white, whichever reads better on `background`; always at least 4.58 : 1. */
export function readableInk(background: Rgb): Rgb {
  return contrast([0, 0, 0], background) >= contrast([255, 255, 255], background) ? [0, 0, 0] : [255, 255, 255];
}

/** WCAG contrast ratio of two colours, 1..21. */
export function contrast(one: Rgb, other: Rgb): number {
  const a = luminance(one);
  const b = luminance(other);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** WCAG relative luminance, 0..1. */
export function luminance([red, green, blue]: Rgb): number {
  return 0.2126 * toLinear(red) + 0.7152 * toLinear(green) + 0.0722 * toLinear(blue);
}

export function cssColour([red, green, blue]: Rgb): string {
  return `#${[red, green, blue].map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}

function cached(key: string, make: () => Palette): Palette {
  const known = palettes.get(key);
  if (known) return known;
  const palette = make();
  palettes.set(key, palette);
  return palette;
}

function table(colour: (t: number) => Rgb): Palette {
  return Array.from({ length: 256 }, (_, index) => colour(index / 255));
}

function mix(from: number, to: number, t: number): number {
  return from + (to - from) * t;
}

function toLinear(channel: number): number {
  const value = channel / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value: number): number {
  const encoded = value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
  return Math.round(255 * Math.min(1, Math.max(0, encoded)));
}

/** OKLab (Björn Ottosson 2020) to sRGB; a colour outside the gamut loses chroma, never lightness, so the scale stays monotone. */
function oklabToRgb(lightness: number, a: number, b: number): Rgb {
  for (let chroma = 1; ; chroma -= 1 / 32) {
    const linear = oklabToLinear(lightness, a * chroma, b * chroma);
    if (chroma <= 0 || linear.every((value) => value >= -1e-4 && value <= 1 + 1e-4)) {
      return [fromLinear(linear[0]), fromLinear(linear[1]), fromLinear(linear[2])];
    }
  }
}

function oklabToLinear(lightness: number, a: number, b: number): [number, number, number] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}
