import * as v from "valibot";

/** The chat panel: what is stored of a conversation, and the messages between host and view. */

export const ActModeSchema = v.picklist(["off", "on", "compare"]);
export type ActMode = v.InferOutput<typeof ActModeSchema>;

export const AttachmentSchema = v.object({
  id: v.string(),
  kind: v.picklist(["selection", "file", "symbol", "problems"]),
  /** Shown on its chip: file name and lines. */
  label: v.string(),
  path: v.string(),
  languageId: v.string(),
  text: v.string(),
  /** Null while the engine has not counted yet. */
  tokens: v.nullable(v.number()),
});
export type Attachment = v.InferOutput<typeof AttachmentSchema>;

export const AnswerSchema = v.object({
  /** Whether the head set was applied. */
  act: v.boolean(),
  text: v.string(),
  state: v.picklist(["waiting", "streaming", "done", "stopped", "failed"]),
  /** Why it failed or ended early, in a sentence. */
  note: v.optional(v.string()),
  tokens: v.optional(v.number()),
  tokensPerSecond: v.optional(v.number()),
  /** The question was too long for the model: neither it nor this answer goes into later prompts. */
  refused: v.optional(v.boolean()),
});
export type Answer = v.InferOutput<typeof AnswerSchema>;

/** A question with its answers: one, or two side by side. */
export const TurnSchema = v.object({
  id: v.string(),
  question: v.string(),
  attachments: v.array(AttachmentSchema),
  answers: v.array(AnswerSchema),
  /** Index of the answer that the conversation goes on with. */
  chosen: v.number(),
  /** Earlier turns that did not fit into the context when this one was answered. */
  leftOut: v.number(),
});
export type Turn = v.InferOutput<typeof TurnSchema>;

/** A question that was typed while an answer was being written. It is asked when that has ended. */
export const QueuedSchema = v.object({ id: v.string(), question: v.string(), attachments: v.array(AttachmentSchema) });
export type Queued = v.InferOutput<typeof QueuedSchema>;

export const ConversationSchema = v.object({
  schema: v.literal(1),
  id: v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,64}$/)),
  title: v.string(),
  /** Milliseconds since 1970. */
  created: v.number(),
  updated: v.number(),
  act: ActModeSchema,
  turns: v.array(TurnSchema),
  draft: v.string(),
  attachments: v.array(AttachmentSchema),
  queue: v.optional(v.array(QueuedSchema), []),
  /** An earlier question is in the input box: sending replaces it and what follows, giving up brings back what was being written before. */
  editing: v.optional(v.nullable(v.object({ turn: v.string(), draft: v.string(), attachments: v.array(AttachmentSchema) })), null),
});
export type Conversation = v.InferOutput<typeof ConversationSchema>;

export const ChatSnapshotSchema = v.object({
  type: v.literal("snapshot"),
  conversation: ConversationSchema,
  conversations: v.array(v.object({ id: v.string(), title: v.string(), updated: v.number() })),
  /** The model's name, or null while none is chosen. */
  model: v.nullable(v.string()),
  /** What the engine is doing, in a few words. */
  status: v.string(),
  /** Set where something is wrong that the user must act on. */
  problem: v.nullable(v.string()),
  /** Why ACT cannot be switched on, or null. */
  actUnavailable: v.nullable(v.string()),
  /** Tokens that sending the draft now would take, of the model's context; null while unknown. `fits`: it would be answered. */
  count: v.nullable(v.object({ prompt: v.number(), context: v.number(), leftOut: v.number(), fits: v.boolean() })),
  /** A change that is shown as a diff and waits to be accepted or discarded. */
  change: v.nullable(v.object({ label: v.string() })),
});
export type ChatSnapshot = v.InferOutput<typeof ChatSnapshotSchema>;

/** One line of the list that `#` opens. */
const SuggestionSchema = v.object({
  id: v.string(),
  kind: v.picklist(["selection", "open-file", "problems", "file", "symbol"]),
  label: v.string(),
  detail: v.string(),
});
export type Suggestion = v.InferOutput<typeof SuggestionSchema>;

export const ChatToViewSchema = v.variant("type", [
  ChatSnapshotSchema,
  v.object({ type: v.literal("suggestions"), query: v.string(), items: v.array(SuggestionSchema) }),
  v.object({ type: v.literal("focus") }),
  /** Puts a text into the input box (edit and resend). */
  v.object({ type: v.literal("draft"), text: v.string() }),
]);
export type ChatToView = v.InferOutput<typeof ChatToViewSchema>;

const id = v.pipe(v.string(), v.maxLength(64));
const text = v.pipe(v.string(), v.maxLength(1_000_000));

/** What the buttons add to a question; `file` is chosen from a list. */
const AttachKindSchema = v.picklist(["selection", "open-file", "file", "problems"]);
export type AttachKind = v.InferOutput<typeof AttachKindSchema>;

export const ChatToHostSchema = v.variant("type", [
  v.object({ type: v.literal("ready") }),
  v.object({ type: v.literal("draft"), conversation: id, text }),
  v.object({ type: v.literal("send"), text }),
  v.object({ type: v.literal("stop") }),
  v.object({ type: v.literal("regenerate"), turn: id }),
  v.object({ type: v.literal("edit"), turn: id }),
  v.object({ type: v.literal("cancel-edit") }),
  /** Asks the first question that waits in line. */
  v.object({ type: v.literal("ask-next") }),
  /** Takes a question out of the line. */
  v.object({ type: v.literal("unqueue"), question: id }),
  v.object({ type: v.literal("choose"), turn: id, answer: v.number() }),
  v.object({ type: v.literal("copy"), text }),
  v.object({ type: v.literal("insert"), text }),
  v.object({ type: v.literal("apply"), text, languageId: v.string() }),
  /** The change that is shown as a diff goes into its file, or not. */
  v.object({ type: v.literal("accept") }),
  v.object({ type: v.literal("discard") }),
  v.object({ type: v.literal("attach"), kind: AttachKindSchema }),
  /** What can be added, for the letters behind `#`. */
  v.object({ type: v.literal("suggest"), query: v.pipe(v.string(), v.maxLength(200)) }),
  v.object({ type: v.literal("pick"), item: v.pipe(v.string(), v.maxLength(5000)) }),
  v.object({ type: v.literal("detach"), attachment: id }),
  v.object({ type: v.literal("act"), mode: ActModeSchema }),
  v.object({ type: v.literal("new") }),
  v.object({ type: v.literal("open"), conversation: id }),
  v.object({ type: v.literal("delete"), conversation: id }),
  v.object({ type: v.literal("conversations") }),
  v.object({ type: v.literal("rename"), conversation: id }),
  v.object({ type: v.literal("sinks"), turn: id, answer: v.number() }),
  v.object({ type: v.literal("command"), command: v.picklist(["act.chooseModel", "act.restartEngine", "act.calibrate", "act.showLog"]) }),
]);
export type ChatToHost = v.InferOutput<typeof ChatToHostSchema>;

/** Where the user is in the view: all that it keeps for itself. */
export const ChatNavigationSchema = v.object({ scroll: v.nullable(v.number()) });
