import type { ActMode, ChatSnapshot, ChatToHost } from "../../src/protocol/chat.js";
import { button, dropdown, setOptions } from "../controls.js";
import { h } from "../dom.js";

const MODES: { value: ActMode; label: string }[] = [
  { value: "off", label: "ACT off" },
  { value: "on", label: "ACT on" },
  { value: "compare", label: "Compare" },
];

/** Which conversation, which model, whether calibrated. */
export function createHeader(post: (message: ChatToHost) => void) {
  const conversations = dropdown("Conversation", [], "", (conversation) => post({ type: "open", conversation }), "conversation");
  const mode = dropdown("Calibration", MODES, "off", (value) => post({ type: "act", mode: value as ActMode }), "act-mode");
  const remove = button("Delete", () => post({ type: "delete", conversation: conversations.value }), {
    title: "Delete this conversation",
    name: "delete",
  });
  const model = h("button", {
    class: "model",
    type: "button",
    title: "Choose a model",
    onclick: () => post({ type: "command", command: "act.chooseModel" }),
  });
  const status = h("span", { class: "status", role: "status" });
  const note = h("div", { class: "note", hidden: true });
  const element = h("header", {}, h("div", { class: "row" }, conversations, remove), h("div", { class: "row" }, mode, model, status), note);
  return {
    element,
    show(snapshot: ChatSnapshot): void {
      const list = snapshot.conversations.map((c) => ({ value: c.id, label: c.title }));
      setOptions(conversations, list, snapshot.conversation.id);
      setOptions(mode, MODES, snapshot.conversation.act);
      model.textContent = snapshot.model ?? "Choose a model…";
      status.textContent = snapshot.status;
      const wanted = snapshot.conversation.act !== "off" && snapshot.actUnavailable !== null;
      note.hidden = !wanted;
      note.textContent = wanted ? snapshot.actUnavailable : "";
    },
  };
}
