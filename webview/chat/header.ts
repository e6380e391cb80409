import type { ActMode, ChatSnapshot, ChatToHost } from "../../src/protocol/chat.js";
import { button, dropdown, setOptions } from "../controls.js";
import { h } from "../dom.js";
import { setText } from "../text.js";

const MODES: { value: ActMode; label: string }[] = [
  { value: "off", label: "ACT off" },
  { value: "on", label: "ACT on" },
  { value: "compare", label: "Compare" },
];

/** Which conversation, which model, whether calibrated. */
export function createHeader(post: (message: ChatToHost) => void) {
  let conversation = "";
  const title = h("span", { class: "title-text" });
  const choose = h(
    "button",
    {
      class: "title",
      type: "button",
      title: "Show all conversations",
      "data-name": "conversation",
      onclick: () => post({ type: "conversations" }),
    },
    title,
  );
  const mode = dropdown("Calibration", MODES, "off", (value) => post({ type: "act", mode: value as ActMode }), "act-mode");
  const rename = button("Rename", () => post({ type: "rename", conversation }), { title: "Rename this conversation", name: "rename" });
  const remove = button("Delete", () => post({ type: "delete", conversation }), { title: "Delete this conversation", name: "delete" });
  const model = h("button", {
    class: "model",
    type: "button",
    title: "Choose a model",
    onclick: () => post({ type: "command", command: "act.chooseModel" }),
  });
  const status = h("span", { class: "status", role: "status" });
  const note = h("div", { class: "note", hidden: true });
  const element = h(
    "header",
    {},
    h("div", { class: "row first" }, choose, rename, remove),
    h("div", { class: "row" }, mode, model, status),
    note,
  );
  return {
    element,
    show(snapshot: ChatSnapshot): void {
      const { id, title: text } = snapshot.conversation;
      conversation = id;
      setText(title, text);
      setOptions(mode, MODES, snapshot.conversation.act);
      setText(model, snapshot.model ?? "Choose a model…");
      setText(status, snapshot.status);
      const wanted = snapshot.conversation.act !== "off" && snapshot.actUnavailable !== null;
      note.hidden = !wanted;
      note.textContent = wanted ? snapshot.actUnavailable : "";
    },
  };
}
