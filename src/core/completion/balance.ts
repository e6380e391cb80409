/** Brackets and quotes of an answer that the text behind the cursor has already. A cut is made only where the whole fits better with it. */
import type { CursorText } from "./extent.js";
import { type Bracket, bracketsOf, mismatches, OPENER } from "./grammar.js";
import { indentOf, indentWidth, type LanguageRules } from "./language.js";

interface BalanceContext extends CursorText {
  rules: LanguageRules;
}

/** Characters before and after the cursor that are read for brackets. */
const READ = 8_000;

/** Cuts before a bracket that closes what the text behind the cursor closes already, or that nothing opened. */
export function balanced(text: string, context: BalanceContext): string {
  if (context.rules.grammar === null || !mayClose(text)) return text;
  const { brackets, start, free } = read(text, context, context.rules.grammar);
  const answer = brackets.filter(({ at }) => at >= start && at < start + text.length);
  let best = text.length;
  let least = mismatches(brackets, free);
  for (const { at } of unopened(answer)) {
    if (closesItsBlock(text, at - start, context)) continue;
    const cost = mismatches(
      brackets.filter((one) => one.at < at || one.at >= start + text.length),
      free,
    );
    if (cost < least) [best, least] = [at - start, cost];
  }
  if (best === text.length) return text;
  const left = text.slice(0, best);
  // `{‸}`: the bracket behind the cursor takes the place of the one on a line of its own.
  return context.suffix.startsWith(text.charAt(best)) && /\n[ \t]*$/.test(left) ? left : left.trimEnd();
}

/**
 * Whether the closing bracket at `at` begins a line and stands under the line that opened its block. Indentation says so more surely than a count
 * over a file that is seen in part, unless the lines below close that block.
 */
function closesItsBlock(text: string, at: number, { prefix, suffix }: CursorText): boolean {
  const above = (prefix + text.slice(0, at)).split("\n");
  const own = above.pop() ?? "";
  if (own.trim() !== "" || /^\s*[)\]}]/.test(suffix.split("\n")[0] ?? "")) return false;
  // Tabs among blanks are eight columns wide.
  const width = (line: string) => indentWidth(indentOf(line), 8);
  const reaches = (line: string) => line.trim() !== "" && width(line) <= width(own);
  const opening = above.findLast(reaches);
  const next = suffix.split("\n").slice(1).find(reaches);
  const closedBelow = next !== undefined && width(next) === width(own) && next.trimStart().startsWith(text.charAt(at));
  return opening !== undefined && width(opening) === width(own) && /[([{][^)\]}]*$/.test(opening) && !closedBelow;
}

/** The rest of the cursor's line: brackets and quotes that the editor closed by itself, or words that the answer says again. */
export function withoutRestOfLine(text: string, context: BalanceContext): string {
  const end = context.suffix.indexOf("\n");
  const rest = (end < 0 ? context.suffix : context.suffix.slice(0, end)).trimEnd();
  const first = (text.split("\n")[0] ?? "").trimEnd();
  for (let n = Math.min(first.length, rest.length); n > 0 && rest.trim() !== ""; n--) {
    if (!first.endsWith(rest.slice(0, n))) continue;
    const shared = rest.slice(0, n);
    const cut = first.slice(0, first.length - n);
    const whole = n === rest.length;
    if (!/^[)\]}"'`;,>]+$/.test(shared) && !(whole && n > 2 && /[\p{L}\p{N}]/u.test(shared))) continue;
    const [kept, left] = [cost(first, context), cost(cut, context)];
    // Three quotes are a kind of their own.
    const triple = /^["'`]+$/.test(shared) && /"""|'''|```/.test(lineWith(first, context));
    if (left < kept || (left === kept && whole && !triple)) return cut;
  }
  return text;
}

/** How badly an answer fits: brackets without a partner, and quotes without one on the line. */
function cost(answer: string, context: BalanceContext): number {
  const { rules } = context;
  const line = lineWith(answer, context);
  const quotes = /"""|'''|```/.test(line) ? 0 : quoteMismatches(line, rules);
  if (rules.grammar === null) return quotes + mismatches(plainBrackets(line), false);
  const { brackets, free } = read(answer, context, rules.grammar);
  return quotes + mismatches(brackets, free);
}

function lineWith(answer: string, { prefix, suffix }: CursorText): string {
  return prefix.slice(prefix.lastIndexOf("\n") + 1) + answer + (suffix.split("\n")[0] ?? "");
}

function quoteMismatches(line: string, { blocks }: LanguageRules): number {
  return (blocks === "text" ? ['"'] : ['"', "'", "`"]).filter((quote) => line.split(quote).length % 2 === 0).length;
}

/** Brackets around and in an answer. `free`: the text may begin inside of something, so closers of unseen openers are no mismatch. */
function read(answer: string, { prefix, suffix }: CursorText, grammar: string): { brackets: Bracket[]; start: number; free: boolean } {
  const cut = prefix.length > READ ? prefix.indexOf("\n", prefix.length - READ) + 1 || prefix.length - READ : 0;
  const before = prefix.slice(cut);
  const brackets = bracketsOf(before + answer + suffix.slice(0, READ), grammar);
  const inside = /^\s*\n?[ \t]+\S/.test(before) || unopened(brackets.filter(({ at }) => at < before.length)).length > 0;
  return { brackets, start: before.length, free: cut > 0 || inside };
}

/** Closers that nothing before them opened. */
function unopened(brackets: readonly Bracket[]): Bracket[] {
  const open: string[] = [];
  return brackets.filter(({ char }) => {
    const opener = OPENER[char];
    if (opener === undefined) open.push(char);
    else if (open.at(-1) === opener) open.pop();
    else return true;
    return false;
  });
}

function mayClose(text: string): boolean {
  return unopened(plainBrackets(text)).length > 0;
}

function plainBrackets(text: string): Bracket[] {
  return [...text.matchAll(/[()[\]{}]/g)].map((match) => ({ char: match[0], at: match.index }));
}
