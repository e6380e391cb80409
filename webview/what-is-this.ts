import { h } from "./dom.js";

/** The words of the panels, each in a sentence or two that need no other book. */
const TERMS: [string, string][] = [
  [
    "Head",
    "A language model reads with many small readers at once, called attention heads. Each layer has some of them; each decides for itself which earlier tokens matter for the next one.",
  ],
  [
    "Sink",
    "A token that many others look at although it says little, such as the first one or a line break. Some of that attention is missing where it would be of use.",
  ],
  [
    "Calibration",
    "For a few chosen heads, attention is taken from the later sinks and given to the other tokens, or the other way round. The model's file is not changed; switched off, the model answers as before.",
  ],
  ["Beta (β)", "What a later sink keeps of its attention: 1 changes nothing, 0.4 keeps 40 %, 0 keeps nothing; above 1 the sink gets more."],
];

/** Explains the panel's words to whoever asks. */
export function whatIsThis(): HTMLElement {
  return h(
    "details",
    { class: "what", "data-name": "what" },
    h("summary", {}, "What is this?"),
    h("dl", {}, ...TERMS.flatMap(([term, meaning]) => [h("dt", {}, term), h("dd", {}, meaning)])),
  );
}
