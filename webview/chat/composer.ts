import type { Attachment, ChatSnapshot, ChatToHost } from "../../src/protocol/chat.js";
import { button } from "../controls.js";
import { h, reconcile } from "../dom.js";

/** `#file`, `#selection` and `#problems` in the text attach what they name. */
const REFERENCE = /(^|\s)#(file|selection|problems)(?=\s|$)/;

/** The input box with what goes along: attachments, and how much of the model's context the whole would take. */
export function createComposer(post: (message: ChatToHost) => void) {
  let conversation: string | null = null;
  const input = h("textarea", {
    class: "input",
    rows: 3,
    "aria-label": "Message",
    placeholder: "Ask the model on this machine. #file, #selection and #problems add context.",
  });
  const chips = h("div", { class: "attachments" });
  const count = h("span", { class: "count", role: "status" });
  const send = button("Send", submit, { look: "primary", title: "Send (Enter)", name: "send" });
  const stop = button("Stop", () => post({ type: "stop" }), { look: "primary", title: "Stop the answer (Escape)", name: "stop" });
  const attach = (label: string, kind: Extract<ChatToHost, { type: "attach" }>["kind"], title: string) =>
    button(label, () => post({ type: "attach", kind }), { title, name: `attach-${kind}` });
  const element = h(
    "footer",
    {},
    chips,
    input,
    h(
      "div",
      { class: "row" },
      attach("Selection", "selection", "Add the current selection"),
      attach("Open file", "open-file", "Add the file in the editor"),
      attach("File…", "file", "Add another file"),
      attach("Problems", "problems", "Add the problems of the open file"),
    ),
    h("div", { class: "row" }, count, h("span", { class: "gap" }), stop, send),
  );

  function submit(): void {
    const text = input.value.trim();
    if (text === "" || send.disabled) return;
    input.value = "";
    post({ type: "send", text });
  }

  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && !stop.hidden) post({ type: "stop" });
  });
  input.addEventListener("input", () => {
    const reference = REFERENCE.exec(input.value);
    if (reference?.[2]) {
      input.value = input.value.replace(REFERENCE, "$1");
      post({ type: "attach", kind: reference[2] as "file" | "selection" | "problems" });
    }
    if (conversation) post({ type: "draft", conversation, text: input.value });
  });

  return {
    element,
    focus: () => input.focus(),
    set(text: string): void {
      input.value = text;
      input.focus();
      if (conversation) post({ type: "draft", conversation, text });
    },
    show(snapshot: ChatSnapshot): void {
      // The host keeps the draft, so that it survives a reload; while the user types here, here is right.
      if (conversation !== snapshot.conversation.id) input.value = snapshot.conversation.draft;
      conversation = snapshot.conversation.id;
      const busy = snapshot.conversation.turns.some((t) => t.answers.some((a) => a.state === "waiting" || a.state === "streaming"));
      stop.hidden = !busy;
      send.hidden = busy;
      reconcile(
        chips,
        snapshot.conversation.attachments,
        (a) => a.id,
        (a) => chip(a, post),
        updateChip,
      );
      count.textContent = countText(snapshot.count);
      count.classList.toggle("over", snapshot.count !== null && snapshot.count.leftOut > 0);
    },
  };
}

function chip(attachment: Attachment, post: (message: ChatToHost) => void): HTMLElement {
  const remove = () => post({ type: "detach", attachment: attachment.id });
  return h(
    "span",
    { class: "chip", title: attachment.path },
    h("span", { class: "chip-label" }),
    h("button", { type: "button", "aria-label": `Remove ${attachment.label}`, onclick: remove }, "×"),
  );
}

function updateChip(element: HTMLElement, attachment: Attachment): void {
  const label = element.querySelector(".chip-label") as HTMLElement;
  label.textContent = attachment.tokens === null ? attachment.label : `${attachment.label} (${attachment.tokens})`;
}

function countText(count: ChatSnapshot["count"]): string {
  if (!count) return "";
  const sum = `${count.prompt.toLocaleString("en")} of ${count.context.toLocaleString("en")} tokens`;
  if (count.leftOut === 0) return sum;
  return `${sum}: ${count.leftOut === 1 ? "the oldest turn" : `the oldest ${count.leftOut} turns`} will be left out`;
}
