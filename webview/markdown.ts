import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/common";
import { Marked, type Token } from "marked";
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

/**
 * Shows `text` in `parent`, touching only blocks that changed: what has streamed in already keeps its elements, and with them the reader's
 * selection. `onCode` is called for each new code block with its text.
 */
export function showMarkdown(
  parent: HTMLElement,
  text: string,
  onCode: (block: HTMLElement, code: string, language: string) => void,
): void {
  const tokens = marked.lexer(text);
  const blocks = tokens.filter((token) => token.type !== "space" && token.type !== "def");
  blocks.forEach((token, i) => {
    const existing = parent.children[i] as HTMLElement | undefined;
    if (existing && rawOf.get(existing) === token.raw) return;
    const block = h("div", { class: "block" });
    rawOf.set(block, token.raw);
    block.append(sanitize(marked.parser([token] as Token[] & { links: typeof tokens.links })));
    if (token.type === "code") onCode(block, token.text, token.lang?.trim().split(/\s+/)[0] ?? "");
    if (existing) existing.replaceWith(block);
    else parent.append(block);
  });
  while (parent.children.length > blocks.length) parent.lastElementChild?.remove();
}

const rawOf = new WeakMap<Element, string>();
