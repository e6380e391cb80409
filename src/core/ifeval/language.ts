/**
 * The language of a text as Python's langdetect tells it, which IFEval's official checker asks: naive Bayes over n-grams of 1 to 3 characters. The
 * original draws n-grams at random until it is sure; here all of them count once, which is what those draws tend to, and the answer is always the same.
 */
import { argmax } from "../numbers/scores.js";
import type { DetectLanguage } from "./instructions.js";
import { PROFILES } from "./profiles.js";

/** Weight of an n-gram that a language's profile does not hold. */
const UNSEEN = 0.5 / 10_000;
const MOST_CHARACTERS = 10_000;
const URL = /https?:\/\/[-_.?&~;+=/#0-9A-Za-z]{1,2076}/g;
const MAIL = /[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}/g;

/** Characters that mean the same become one; what is no letter becomes a blank. */
function normalised(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code < 0x80) return /[A-Za-z]/.test(character) ? character : " ";
  if (/[\u00a0\u00ab\u00b0\u00bb]/.test(character) || (code >= 0x2000 && code <= 0x206f)) return " ";
  if (code === 0x219) return "\u015f";
  if (code === 0x21b) return "\u0163";
  if (code === 0x6cc) return "\u064a";
  if (code >= 0x1ea0 && code <= 0x1eff) return "\u1ec3";
  if (code >= 0x3040 && code <= 0x309f) return "\u3042";
  if (code >= 0x30a0 && code <= 0x30ff) return "\u30a2";
  if ((code >= 0x3100 && code <= 0x312f) || (code >= 0x31a0 && code <= 0x31bf)) return "\u3105";
  if (code >= 0xac00 && code <= 0xd7af) return "\uac00";
  return character;
}

/** Without addresses, and without Latin letters where another script outweighs them. */
function cleaned(text: string): string {
  const plain = text.replace(URL, " ").replace(MAIL, " ").normalize("NFC").slice(0, MOST_CHARACTERS).replace(/ +/g, " ");
  const latin = plain.match(/[A-z]/g)?.length ?? 0;
  const other = plain.match(/[\u0300-\u1dff\u1f00-\u{10ffff}]/gu)?.length ?? 0;
  return latin * 2 < other ? plain.replace(/[A-z]/g, "") : plain;
}

const isCapital = (character: string) => character !== character.toLowerCase();

interface Knowledge {
  languages: string[];
  /** N-gram -> its share among the n-grams of that length, by language. */
  shares: Map<string, Float64Array>;
}

async function knowledge(): Promise<Knowledge> {
  const languages = Object.keys(PROFILES);
  const shares = new Map<string, Float64Array>();
  for (const [l, read] of Object.values(PROFILES).entries()) {
    const { freq, n_words } = (await read()).default;
    for (const [gram, count] of Object.entries(freq)) {
      const length = [...gram].length;
      if (length > 3) continue;
      const row = shares.get(gram) ?? new Float64Array(languages.length);
      row[l] = count / (n_words[length - 1] as number);
      shares.set(gram, row);
    }
  }
  return { languages, shares };
}

let known: Promise<Knowledge> | undefined;

/** Reads the profiles, once, and answers what tells languages by them: codes as "en", "zh-cn", null where a text has nothing to tell it by. */
export async function languageDetector(): Promise<DetectLanguage> {
  known ??= knowledge();
  const { languages, shares } = await known;
  return (text) => {
    const logs = new Float64Array(languages.length);
    let seen = 0;
    for (const gram of gramsOf(text)) {
      const row = shares.get(gram);
      if (!row) continue;
      seen++;
      for (let l = 0; l < logs.length; l++) logs[l] = (logs[l] as number) + Math.log(UNSEEN + (row[l] as number));
    }
    return seen === 0 ? null : (languages[argmax(logs)] as string);
  };
}

/** N-grams of 1 to 3 characters that a text is judged by. Those of words in capitals are left out from the second letter on. */
function* gramsOf(text: string): Generator<string> {
  let grams = [" "];
  let capitals = false;
  for (const raw of cleaned(text)) {
    const character = normalised(raw);
    const last = grams.at(-1) as string;
    if (last === " ") {
      grams = [" "];
      capitals = false;
      if (character === " ") continue;
    } else if (grams.length >= 3) grams.shift();
    grams.push(character);
    capitals = isCapital(character) && (capitals || isCapital(last));
    if (capitals) continue;
    for (let length = 1; length <= grams.length; length++) {
      const gram = grams.slice(-length).join("");
      if (gram !== " ") yield gram;
    }
  }
}
