import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/common";
import { Marked, type Token, type TokensList } from "marked";
import { widenFences } from "../src/core/conversation/fences.js";
import { h } from "./dom.js";

/**
 * A model's answer as elements. The text is untrusted: only the listed tags and attributes pass, links go to the web or nowhere, and nothing is
 * ever loaded: no images, no styles, no frames.
 */
const TAGS = "p br hr em strong del s code pre span ul ol li blockquote h1 h2 h3 h4 h5 h6 table thead tbody tr th td a sub sup kbd".split(
  " ",
);
const ATTRIBUTES = ["href", "class", "align", "start"];

const marked = new Marked({
  gfm: true,
  breaks: false,
  renderer: {
    code: ({ text, lang }) => {
      const language = lang?.trim().split(/\s+/)[0] ?? "";
      const known = language !== "" && hljs.getLanguage(language);
      // Very long blocks are shown plain: highlighting them at every token would stall the view.
      const body = known && text.length < 20_000 ? hljs.highlight(text, { language, ignoreIllegals: true }).value : escapeHtml(text);
      return `<pre><code class="hljs language-${escapeHtml(language)}">${body}</code></pre>`;
    },
    // HTML in an answer is shown as the text it is.
    html: ({ text }) => escapeHtml(text),
    image: ({ text, href }) => escapeHtml(text || href),
  },
});

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

export function sanitize(html: string): DocumentFragment {
  const clean = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: /^https?:\/\//i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of Array.from(clean.querySelectorAll("a"))) {
    // Where a link goes is part of what the reader must see.
    const target = link.getAttribute("href");
    if (target) link.title = target;
    else link.replaceWith(...Array.from(link.childNodes));
  }
  // Classes are for the highlighter alone: nothing of the view's own styles can be put on.
  for (const element of Array.from(clean.querySelectorAll("[class]"))) {
    const kept = Array.from(element.classList).filter((name) => /^(hljs|language-)/.test(name) || /^[a-z]+_$/.test(name));
    element.className = kept.join(" ");
  }
  return clean;
}

/** Deeper than any text for people; the parser recurses once for each level. */
const MOST_LEVELS = 40;
/** Signs that may begin or end something; the parser's time grows with their square. */
const MOST_SIGNS = 3000;

interface Block {
  raw: string;
  make(): Node;
  code?: { text: string; language: string };
}

/** The blocks of a Markdown text. What is nested beyond reason, or breaks the parser, becomes a block of plain text; the others do not suffer. */
function blocksOf(text: string): Block[] {
  return stretches(widenFences(text)).flatMap(({ raw, plain }) => {
    if (plain) return [plainBlock(raw)];
    try {
      const tokens = marked.lexer(raw);
      return tokens.filter(({ type }) => type !== "space" && type !== "def").map((token) => markdownBlock(token, tokens.links));
    } catch {
      return [plainBlock(raw)];
    }
  });
}

/** The text cut where something begins that must not be parsed, and behind it. Blocks of code are never cut. */
function stretches(text: string): { raw: string; plain: boolean }[] {
  const found: { raw: string; plain: boolean }[] = [];
  let raw = "";
  let prose = "";
  let fence = "";
  const close = () => {
    const plain = prose.split("\n").some((line) => levels(line) > MOST_LEVELS) || (prose.match(/[*_`[\]<>!~]/g)?.length ?? 0) > MOST_SIGNS;
    const last = found.at(-1);
    if (last && last.plain === plain) last.raw += raw;
    else found.push({ raw, plain });
    raw = "";
    prose = "";
  };
  for (const line of text.split(/(?<=\n)/)) {
    const mark = /^[ \t]*(`{3,}|~{3,})/.exec(line)?.[1] ?? "";
    const inside = fence !== "";
    if (!inside && line.trim() === "" && prose !== "") close();
    if (!inside) fence = mark;
    else if (mark.startsWith(fence) && line.trim() === mark) fence = "";
    raw += line;
    if (!inside && mark === "") prose += line;
  }
  if (raw !== "") close();
  return found;
}

/** How many quotes and lists a line is in, by what it opens and by its depth. */
function levels(line: string): number {
  const opened = /^(?:\s*(?:>|[-*+](?=\s)|\d{1,9}[.)](?=\s)))+/.exec(line)?.[0] ?? "";
  return opened === "" ? 0 : (opened.match(/>|[-*+]|\d+/g)?.length ?? 0) + Math.floor((opened.length - opened.trimStart().length) / 2);
}

function plainBlock(raw: string): Block {
  return { raw, make: () => h("p", { class: "plain" }, raw.trim()) };
}

function markdownBlock(token: Token, links: TokensList["links"]): Block {
  const make = () => {
    try {
      return sanitize(marked.parser(Object.assign([token], { links })));
    } catch {
      return plainBlock(token.raw).make();
    }
  };
  if (token.type !== "code") return { raw: token.raw, make };
  return { raw: token.raw, make, code: { text: token.text as string, language: (token.lang as string)?.trim().split(/\s+/)[0] ?? "" } };
}

/**
 * Shows `text` in `parent`, touching only blocks that changed: what has streamed in already keeps its elements, and with them the reader's
 * selection. `onCode` is called for each new code block with its text.
 */
export function showMarkdown(
  parent: HTMLElement,
  text: string,
  onCode: (block: HTMLElement, code: string, language: string) => void,
): void {
  const blocks = blocksOf(text);
  blocks.forEach(({ raw, make, code }, i) => {
    const existing = parent.children[i] as HTMLElement | undefined;
    if (existing && rawOf.get(existing) === raw) return;
    const block = h("div", { class: "block" });
    rawOf.set(block, raw);
    block.append(make());
    if (code) onCode(block, code.text, code.language);
    if (existing) existing.replaceWith(block);
    else parent.append(block);
  });
  while (parent.children.length > blocks.length) parent.lastElementChild?.remove();
}

const rawOf = new WeakMap<Element, string>();
