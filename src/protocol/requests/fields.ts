/** Fields that several requests share, each with its bounds. The command line's flags and the settings take their bounds from here. */
import * as v from "valibot";

/** A whole number inside the bounds. */
export const whole = (least: number, most = Number.MAX_SAFE_INTEGER) =>
  v.pipe(
    v.number(),
    v.integer("must be a whole number"),
    v.minValue(least, `must be at least ${least}`),
    v.maxValue(most, `must be at most ${most}`),
  );

/** A finite number inside the bounds. */
export const between = (least: number, most: number) =>
  v.pipe(
    v.number(),
    v.finite("must be a number"),
    v.minValue(least, `must be at least ${least}`),
    v.maxValue(most, `must be at most ${most}`),
  );

export const count = whole(1);
export const share = between(0, 1);
/** A text that says something: a path, a name. @param what completes "must …" */
export const named = (what: string) => v.pipe(v.string(), v.minLength(1, `must ${what}`));

/** Longest text of a field. No context holds more, and the tokenizer would keep the engine from answering meanwhile. */
export const MOST_CHARACTERS = 1_000_000;
export const text = v.pipe(v.string(), v.maxLength(MOST_CHARACTERS, `must be at most ${MOST_CHARACTERS} characters`));

const MOST_TOKENS = 2 ** 20;
/** Token ids. The length is looked at before the ids are. */
export const tokenIds = v.pipe(
  v.custom<number[]>((value) => Array.isArray(value) && value.length <= MOST_TOKENS, `must be a list of at most ${MOST_TOKENS} token ids`),
  v.array(v.number()),
);

export const SeedSchema = whole(0, 4_294_967_295);
export const ThreadsSchema = whole(1, 512);
export const ContextSizeSchema = whole(1);
export const BackendSchema = v.picklist(["cpu", "vulkan", "cuda", "metal"]);
export const BackendChoiceSchema = v.picklist(["auto", ...BackendSchema.options], "must be one of auto, cpu, vulkan, cuda, metal");

export type BackendName = v.InferOutput<typeof BackendSchema>;

/** The bounds that a number's schema holds; null where there is none. */
export function boundsOf(schema: v.GenericSchema): { least: number | null; most: number | null; isWhole: boolean } {
  const actions = "pipe" in schema ? (schema.pipe as { type: string; requirement?: unknown }[]) : [];
  const bound = (type: string) => {
    const found = actions.find((action) => action.type === type)?.requirement;
    return typeof found === "number" && Math.abs(found) < Number.MAX_SAFE_INTEGER ? found : null;
  };
  return { least: bound("min_value"), most: bound("max_value"), isWhole: actions.some((action) => action.type === "integer") };
}
