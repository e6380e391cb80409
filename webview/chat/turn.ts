import type { ActMode, Answer, ChatToHost, Turn } from "../../src/protocol/chat.js";
import { button } from "../controls.js";
import { h, reconcile } from "../dom.js";
import { showMarkdown } from "../markdown.js";

type Post = (message: ChatToHost) => void;

/** A question and its answers, side by side where there are two. */
export function createTurn(id: string, post: Post): HTMLElement {
  const element = h(
    "section",
    { class: "turn" },
    h("div", { class: "left-out", hidden: true }),
    h(
      "div",
      { class: "question" },
      h("div", { class: "attachments" }),
      h("div", { class: "text" }),
      h(
        "div",
        { class: "actions" },
        button("Edit", () => post({ type: "edit", turn: id }), { title: "Edit this question and send it again", name: "edit" }),
      ),
    ),
    h("div", { class: "answers" }),
    h(
      "div",
      { class: "actions turn-actions" },
      button("Retry", () => post({ type: "regenerate", turn: id }), { title: "Retry: answer this question again", name: "regenerate" }),
    ),
  );
  posts.set(element, post);
  return element;
}

export interface TurnPlace {
  mode: ActMode;
  /** The last of its conversation: it alone can be answered again. */
  last: boolean;
  /** An edit that is being written would replace it. */
  replaced: boolean;
}

export function updateTurn(element: HTMLElement, turn: Turn, { mode, last, replaced }: TurnPlace): void {
  const part = (name: string) => element.querySelector(`.${name}`) as HTMLElement;
  const leftOut = part("left-out");
  leftOut.hidden = turn.leftOut === 0;
  leftOut.textContent = turn.leftOut === 0 ? "" : leftOutSentence(turn.leftOut);
  (element.querySelector(".question .text") as HTMLElement).textContent = turn.question;
  reconcile(
    part("attachments"),
    turn.attachments,
    (a) => a.id,
    (a) => h("span", { class: "chip", title: a.path }, a.label),
    () => {},
  );
  const answers = part("answers");
  answers.classList.toggle("pair", turn.answers.length > 1);
  const post = posts.get(element);
  reconcile(
    answers,
    turn.answers.map((answer, index) => ({ answer, index })),
    ({ index }) => String(index),
    ({ index }) => createAnswer(turn.id, index, (message) => post?.(message)),
    (view, { answer, index }) => updateAnswer(view, answer, turn, index, mode),
  );
  const busy = turn.answers.some((a) => a.state === "waiting" || a.state === "streaming");
  part("turn-actions").hidden = busy || !last;
  element.classList.toggle("replaced", replaced);
}

/** Where the parts of a turn send their messages, and what an answer's copy button copies. */
const posts = new WeakMap<HTMLElement, Post>();
const texts = new WeakMap<HTMLElement, string>();

function createAnswer(turn: string, index: number, post: Post): HTMLElement {
  const article: HTMLElement = h(
    "article",
    { class: "answer" },
    h("div", { class: "answer-head" }, h("span", { class: "label" }), h("span", { class: "speed" })),
    h("div", { class: "markdown" }),
    h("div", { class: "note", hidden: true }),
    h(
      "div",
      { class: "actions" },
      copyButton(() => texts.get(article) ?? "", post, { title: "Copy this answer", name: "copy-answer" }),
      button("Sinks", () => post({ type: "sinks", turn, answer: index }), {
        title: "Show the attention sinks of this prompt",
        name: "sinks",
      }),
      button("Continue with this", () => post({ type: "choose", turn, answer: index }), {
        title: "Go on with this answer",
        name: "choose",
      }),
    ),
  );
  posts.set(article, post);
  return article;
}

function updateAnswer(element: HTMLElement, answer: Answer, turn: Turn, index: number, mode: ActMode): void {
  const part = (name: string) => element.querySelector(`.${name}`) as HTMLElement;
  const grown = texts.get(element) !== answer.text;
  texts.set(element, answer.text);
  element.dataset.state = answer.state;
  element.setAttribute("aria-busy", String(answer.state === "waiting" || answer.state === "streaming"));
  const several = turn.answers.length > 1;
  part("label").textContent = several || mode !== "off" ? (answer.act ? "ACT on" : "ACT off") : "";
  part("speed").textContent = answer.tokensPerSecond ? `${answer.tokens ?? 0} tokens, ${answer.tokensPerSecond.toFixed(1)}/s` : "";
  const post = posts.get(element);
  if (answer.state === "waiting") part("markdown").replaceChildren(h("div", { class: "waiting" }, "Thinking…"));
  else {
    part("markdown").querySelector(".waiting")?.remove();
    // A long conversation is shown many times a second while its last answer streams.
    if (grown)
      showMarkdown(part("markdown"), answer.text, (block, code, language) => block.append(codeActions(code, language, (m) => post?.(m))));
  }
  const note = part("note");
  note.hidden = !answer.note;
  note.textContent = answer.note ?? "";
  part("actions").hidden = answer.state === "waiting" || answer.state === "streaming";
  const choose = element.querySelector("[data-name=choose]") as HTMLElement;
  choose.hidden = !several || turn.chosen === index;
  element.classList.toggle("chosen", several && turn.chosen === index);
}

const COPIED_MS = 1500;

/** Says for a moment that it has copied. */
function copyButton(text: () => string, post: Post, options: { title: string; name: string }): HTMLElement {
  const copy: HTMLElement = button(
    "Copy",
    () => {
      post({ type: "copy", text: text() });
      copy.textContent = "Copied";
      setTimeout(() => {
        copy.textContent = "Copy";
      }, COPIED_MS);
    },
    options,
  );
  copy.setAttribute("aria-live", "polite");
  return copy;
}

function codeActions(code: string, languageId: string, post: Post): HTMLElement {
  return h(
    "div",
    { class: "code-actions" },
    copyButton(() => code, post, { title: "Copy this code", name: "copy-code" }),
    button("Insert", () => post({ type: "insert", text: code }), { title: "Insert at the cursor", name: "insert" }),
    button("Apply…", () => post({ type: "apply", text: code, languageId }), { title: "Show as a change to the open file", name: "apply" }),
  );
}

function leftOutSentence(turns: number): string {
  return `${turns === 1 ? "The first turn was" : `The first ${turns} turns were`} left out of this answer's prompt: the conversation no longer fits the model's context.`;
}
