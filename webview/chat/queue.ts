import type { ChatSnapshot, ChatToHost, Queued } from "../../src/protocol/chat.js";
import { button } from "../controls.js";
import { h, reconcile } from "../dom.js";
import { isBusy } from "./composer.js";

/** Questions that wait until the answer being written has ended. */
export function createQueue(post: (message: ChatToHost) => void) {
  const list = h("div", { class: "queued" });
  const now = button("Ask now", () => post({ type: "ask-next" }), { title: "Ask the first of these questions now", name: "ask-next" });
  const label = h("span", { class: "label" });
  const element = h(
    "section",
    { class: "queue", "aria-label": "Questions in line", hidden: true },
    h("div", { class: "row" }, label, now),
    list,
  );
  return {
    element,
    show(snapshot: ChatSnapshot): void {
      const { queue } = snapshot.conversation;
      const busy = isBusy(snapshot);
      element.hidden = queue.length === 0;
      now.hidden = busy;
      label.textContent = busy ? "Next, when this answer has ended:" : "Waiting in line:";
      reconcile(
        list,
        queue,
        ({ id }) => id,
        (one) => entry(one, post),
        () => {},
      );
    },
  };
}

function entry({ id, question, attachments }: Queued, post: (message: ChatToHost) => void): HTMLElement {
  return h(
    "div",
    { class: "question waiting-line" },
    h("div", { class: "text" }, question),
    h("div", { class: "attachments" }, ...attachments.map((a) => h("span", { class: "chip", title: a.path }, a.label))),
    h(
      "div",
      { class: "actions" },
      button("Remove", () => post({ type: "unqueue", question: id }), { title: "Remove from the line", name: "unqueue" }),
    ),
  );
}
