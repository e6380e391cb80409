import { type TemplateTraits, templateForm, templateTool, templateTraits } from "../../core/conversation/template-form.js";
import type { ChatMessage, ToolDefinition } from "../../protocol/engine.js";
import type { NativeModel } from "../native/native.js";

type Renderer = Pick<NativeModel, "renderChat" | "tokenize" | "detokenize" | "isControl" | "bosText" | "eosText" | "bos">;

/** First stand-in for control text inside a message, from the private use area. */
const FIRST_STAND_IN = 0xf7000;
const LAST_STAND_IN = 0xffffd;
/** Texts longer than this are counted in slices, so that one that cannot fit is not tokenised to its end. */
const SLICE = 32_768;
/** What is remembered of texts and pieces of prompts, in characters. */
const MOST_REMEMBERED = 8_000_000;

/**
 * A model's chat template: conversations in, tokens out, ending where the answer begins.
 *
 * Control tokens come from the template alone: where a message, a tool's arguments or its description spell one (`<|im_end|>`), that text goes
 * through the template as a stand-in and is tokenised as plain text, so a file that is quoted in a chat cannot close the turn it stands in.
 * What was tokenised before is remembered, so a turn more costs that turn.
 */
export class ChatPrompt {
  private known: TemplateTraits | null = null;
  private readonly texts = new Remembered<TextFacts>();
  private readonly pieces = new Remembered<number[]>();
  /** Texts of the control tokens seen in prompts: where a prompt may be cut without changing its tokens. */
  private readonly literals = new Set<string>();

  constructor(private readonly model: Renderer) {}

  /** What the template takes. @throws ActError `unsupported` for a model without one */
  get traits(): TemplateTraits {
    this.known ??= templateTraits((items) => this.model.renderChat(this.items(items)));
    return this.known;
  }

  encode(messages: readonly ChatMessage[], tools: readonly ToolDefinition[] = []): number[] {
    const standIns = new StandIns(() => JSON.stringify([messages, tools]));
    const plain = (text: string) => standIns.replace(text, this.facts(text, Number.POSITIVE_INFINITY).controls);
    const rendered = this.model.renderChat(
      this.items({
        messages: mapTexts(templateForm(messages, this.traits), plain),
        ...(tools.length > 0 && { tools: mapTexts(tools.map(templateTool), plain) }),
      }),
    );
    const parts = standIns.split(rendered).map((part) => (part.literal ? this.model.tokenize(part.text, false) : this.tokenize(part.text)));
    const tokens = parts.flat();
    const { bos } = this.model;
    // Most templates write the begin-of-text token themselves.
    return bos === null || tokens[0] === bos ? tokens : [bos, ...tokens];
  }

  /** Tokens of a message's own text, its calls included. A text longer than `most` tokens is not read to its end: its size is then an estimate. */
  size({ content, toolCalls }: ChatMessage, most: number): number {
    const calls = toolCalls && toolCalls.length > 0 ? this.facts(JSON.stringify(toolCalls), most).tokens : 0;
    return this.facts(content, most).tokens + calls;
  }

  private items(items: object): Record<string, unknown> {
    return { ...items, add_generation_prompt: true, bos_token: this.model.bosText, eos_token: this.model.eosText };
  }

  private facts(text: string, most: number): TextFacts {
    const known = this.texts.get(text);
    if (known && (known.whole || known.tokens > most)) return known;
    const facts = text.length > SLICE && Number.isFinite(most) ? this.estimate(text, most) : null;
    const result = facts ?? this.whole(text);
    this.texts.set(text, result);
    return result;
  }

  /** Null where the text has not more than `most` tokens. */
  private estimate(text: string, most: number): TextFacts | null {
    let tokens = 0;
    for (let at = 0; at < text.length; at += SLICE) {
      tokens += this.model.tokenize(text.slice(at, at + SLICE), false).length;
      const read = Math.min(text.length, at + SLICE);
      if (tokens > most) return { tokens: Math.max(most + 1, Math.round((tokens * text.length) / read)), controls: [], whole: false };
    }
    return null;
  }

  private whole(text: string): TextFacts {
    const tokens = this.model.tokenize(text, true);
    const special = Array.from(new Set(tokens.filter((token) => this.model.isControl(token))));
    const controls = special
      .map((token) => this.model.detokenize([token], true))
      .filter((literal) => literal !== "" && text.includes(literal));
    // In a prompt they are plain text.
    const plain = controls.length === 0 ? tokens : this.model.tokenize(text, false);
    return { tokens: plain.length, controls, whole: true };
  }

  /** Tokens of a part of a prompt, control texts read as such. It is cut before each, and only pieces that are new are tokenised. */
  private tokenize(text: string): number[] {
    return cut(text, this.literals).flatMap((piece) => {
      const known = this.pieces.get(piece);
      if (known) return known;
      const tokens = this.model.tokenize(piece, true);
      for (const token of new Set(tokens)) if (this.model.isControl(token)) this.literals.add(this.model.detokenize([token], true));
      this.literals.delete("");
      this.pieces.set(piece, tokens);
      return tokens;
    });
  }
}

interface TextFacts {
  tokens: number;
  /** Control texts that the text spells. */
  controls: string[];
  /** Counted to the end. */
  whole: boolean;
}

/** Values by text; what was not asked for longest is forgotten first. */
class Remembered<T> {
  private readonly values = new Map<string, T>();
  private characters = 0;

  get(text: string): T | undefined {
    const value = this.values.get(text);
    if (value === undefined) return undefined;
    this.values.delete(text);
    this.values.set(text, value);
    return value;
  }

  set(text: string, value: T): void {
    if (!this.values.has(text)) this.characters += text.length;
    this.values.set(text, value);
    for (const oldest of this.values.keys()) {
      if (this.characters <= MOST_REMEMBERED || oldest === text) break;
      this.values.delete(oldest);
      this.characters -= oldest.length;
    }
  }
}

/** Characters that stand for control texts while a conversation goes through its template; none that the conversation holds itself. */
class StandIns {
  private readonly literals = new Map<string, string>();
  private next = FIRST_STAND_IN;

  constructor(private readonly conversation: () => string) {}

  replace(text: string, controls: readonly string[]): string {
    let result = text;
    for (const literal of controls) {
      const known = [...this.literals].find(([, value]) => value === literal)?.[0];
      const standIn = known ?? this.fresh();
      this.literals.set(standIn, literal);
      result = result.replaceAll(literal, standIn);
    }
    return result;
  }

  split(rendered: string): { text: string; literal: boolean }[] {
    if (this.literals.size === 0) return [{ text: rendered, literal: false }];
    const pattern = new RegExp(`([${[...this.literals.keys()].join("")}])`, "u");
    return rendered.split(pattern).map((part) => {
      const literal = this.literals.get(part);
      return literal === undefined ? { text: part, literal: false } : { text: literal, literal: true };
    });
  }

  private fresh(): string {
    const taken = this.conversation();
    for (; this.next <= LAST_STAND_IN; this.next++) {
      const character = String.fromCodePoint(this.next);
      if (!this.literals.has(character) && !taken.includes(character)) return character;
    }
    return String.fromCodePoint(FIRST_STAND_IN);
  }
}

/** The same value with every text in it replaced, names of fields included. */
function mapTexts<T>(value: T, replace: (text: string) => string): T {
  if (typeof value === "string") return replace(value) as T;
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, replace)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [replace(key), mapTexts(item, replace)])) as T;
}

/** Pieces of `text` that each begin with one of the literals, but for the first. */
function cut(text: string, literals: ReadonlySet<string>): string[] {
  if (literals.size === 0) return text === "" ? [] : [text];
  const any = Array.from(literals, (literal) => literal.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .sort((a, b) => b.length - a.length)
    .join("|");
  return text.split(new RegExp(`(?=${any})`)).filter((piece) => piece !== "");
}
