import "./chat.css";
import { ChatNavigationSchema, type ChatSnapshot, ChatToHostSchema, ChatToViewSchema } from "../../src/protocol/chat.js";
import { connect } from "../bridge.js";
import { h, reconcile } from "../dom.js";
import { createComposer } from "./composer.js";
import { createHeader } from "./header.js";
import { createQueue } from "./queue.js";
import { createTurn, updateTurn } from "./turn.js";

/** The chat view: a picture of the host's snapshot. It keeps nothing but the scroll position and what is being typed. */
const root = document.getElementById("root") as HTMLElement;
const bridge = connect(
  { fromHost: ChatToViewSchema, toHost: ChatToHostSchema, navigation: ChatNavigationSchema },
  { scroll: null },
  (message) => {
    if (message.type === "snapshot") show(message);
    else if (message.type === "draft") composer.set(message.text);
    else if (message.type === "suggestions") composer.suggest(message.query, message.items);
    else composer.focus();
  },
);

const header = createHeader(bridge.post);
const problem = h("div", { class: "problem", role: "alert", hidden: true });
const turns = h("div", { class: "turns", role: "log", "aria-label": "Conversation", tabindex: 0 });
const past = h("div", { class: "past" });
const queue = createQueue(bridge.post);
turns.append(past, queue.element);
const composer = createComposer(bridge.post);
root.append(h("h1", { class: "unseen" }, "ACT Chat"), header.element, problem, turns, composer.element);

let shown: string | null = null;

function show(snapshot: ChatSnapshot): void {
  // A reader who scrolled up is left there; one at the end follows the answer.
  const following = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40;
  header.show(snapshot);
  problem.hidden = snapshot.problem === null;
  problem.textContent = snapshot.problem ?? "";
  const { turns: all, act, editing } = snapshot.conversation;
  const edited = editing ? all.findIndex(({ id }) => id === editing.turn) : -1;
  reconcile(
    past,
    all.map((turn, index) => ({ turn, index })),
    ({ turn }) => turn.id,
    ({ turn }) => createTurn(turn.id, bridge.post),
    (element, { turn, index }) =>
      updateTurn(element, turn, { mode: act, last: index === all.length - 1, replaced: edited >= 0 && index >= edited }),
  );
  queue.show(snapshot);
  composer.show(snapshot);
  if (shown !== snapshot.conversation.id) {
    turns.scrollTop = shown === null && bridge.navigation.scroll !== null ? bridge.navigation.scroll : turns.scrollHeight;
    shown = snapshot.conversation.id;
  } else if (following) turns.scrollTop = turns.scrollHeight;
}

turns.addEventListener("scroll", () => {
  bridge.navigation = { scroll: turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40 ? null : turns.scrollTop };
});

bridge.post({ type: "ready" });
