import type { Attachment, ChatSnapshot, ChatToHost, Suggestion } from "../../src/protocol/chat.js";
import { button } from "../controls.js";
import { h, reconcile } from "../dom.js";
import { createPicker } from "./picker.js";

/** The input box with what goes along: attachments, what waits in line, and how much of the model's context the whole would take. */
export function createComposer(post: (message: ChatToHost) => void) {
  let conversation: string | null = null;
  let editing = false;
  let busy = false;
  const input = h("textarea", {
    class: "input",
    rows: 1,
    "aria-label": "Message",
    placeholder: "Ask the model on this machine. # adds files, symbols, problems or the selection.",
  });
  const picker = createPicker(input, post, typed);
  const chips = h("div", { class: "attachments" });
  const count = h("span", { class: "count", role: "status" });
  const send = button("Send", submit, { look: "primary", title: "Send (Enter)", name: "send" });
  const stop = button("Stop", () => post({ type: "stop" }), { title: "Stop the answer (Escape)", name: "stop" });
  const attach = (label: string, kind: Extract<ChatToHost, { type: "attach" }>["kind"], title: string) =>
    button(label, () => post({ type: "attach", kind }), { title, name: `attach-${kind}` });
  const edit = h(
    "div",
    { class: "bar", "data-name": "editing", hidden: true },
    h("span", { class: "bar-text" }, "Editing an earlier question: sending replaces it and what follows."),
    button("Cancel", () => post({ type: "cancel-edit" }), { title: "Keep the conversation as it is (Escape)", name: "cancel-edit" }),
  );
  const changed = h("span", { class: "bar-text" });
  const change = h(
    "div",
    { class: "bar", "data-name": "change", role: "group", "aria-label": "Change from the chat", hidden: true },
    changed,
    button("Accept", () => post({ type: "accept" }), { look: "primary", title: "Accept: write the change into the file", name: "accept" }),
    button("Discard", () => post({ type: "discard" }), { title: "Discard: leave the file as it is", name: "discard" }),
  );
  const element = h(
    "footer",
    {},
    change,
    edit,
    chips,
    h("div", { class: "input-box" }, picker.element, input),
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
    if (text === "") return;
    input.value = "";
    picker.close();
    grow();
    post({ type: "send", text });
  }

  /** As high as its text, up to a third of the view. */
  function grow(): void {
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight + 2, Math.max(60, window.innerHeight / 3))}px`;
  }

  function typed(): void {
    grow();
    picker.update();
    if (conversation) post({ type: "draft", conversation, text: input.value });
  }

  input.addEventListener("keydown", (event) => {
    if (picker.key(event)) event.preventDefault();
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && editing) post({ type: "cancel-edit" });
    else if (event.key === "Escape" && busy) post({ type: "stop" });
  });
  input.addEventListener("input", typed);
  input.addEventListener("blur", () => picker.close());
  window.addEventListener("resize", grow);

  return {
    element,
    focus: () => input.focus(),
    suggest: (query: string, items: Suggestion[]) => picker.show(query, items),
    set(text: string): void {
      input.value = text;
      input.focus();
      grow();
    },
    show(snapshot: ChatSnapshot): void {
      // The host keeps the draft, so that it survives a reload; while the user types here, here is right.
      if (conversation !== snapshot.conversation.id) {
        input.value = snapshot.conversation.draft;
        grow();
      }
      conversation = snapshot.conversation.id;
      editing = snapshot.conversation.editing !== null;
      busy = isBusy(snapshot);
      stop.hidden = !busy;
      send.title = busy ? "Ask when this answer has ended (Enter)" : "Send (Enter)";
      edit.hidden = !editing;
      change.hidden = snapshot.change === null;
      changed.textContent = snapshot.change ? `Change to ${snapshot.change.label}` : "";
      reconcile(
        chips,
        snapshot.conversation.attachments,
        (a) => a.id,
        (a) => chip(a, post),
        (item, attachment) => updateChip(item, attachment, snapshot.count?.context ?? null),
      );
      count.textContent = countText(snapshot.count);
      count.classList.toggle("over", snapshot.count !== null && (snapshot.count.leftOut > 0 || !snapshot.count.fits));
    },
  };
}

export function isBusy({ conversation }: Pick<ChatSnapshot, "conversation">): boolean {
  return conversation.turns.some((t) => t.answers.some((a) => a.state === "waiting" || a.state === "streaming"));
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

function updateChip(element: HTMLElement, { label, tokens }: Attachment, context: number | null): void {
  const text = element.querySelector(".chip-label") as HTMLElement;
  const over = tokens !== null && context !== null && tokens > context;
  text.textContent = tokens === null ? label : `${label} (${tokens.toLocaleString("en")}${over ? ", too long" : ""})`;
  element.classList.toggle("over", over);
}

function countText(count: ChatSnapshot["count"]): string {
  if (!count) return "";
  const sum = `${count.prompt.toLocaleString("en")} of ${count.context.toLocaleString("en")} tokens`;
  if (!count.fits) return `${sum}: too long for this model. Shorten the question or what is attached.`;
  if (count.leftOut === 0) return sum;
  return `${sum}: ${count.leftOut === 1 ? "the oldest turn" : `the oldest ${count.leftOut} turns`} will be left out`;
}
