// What arrives on the wire, before vscode-jsonrpc sees it: the library trusts the shape of a frame, and one without it would end the process.
import type { DataCallback, Disposable, Message, MessageReader } from "vscode-jsonrpc";

/** A reader that lets only whole JSON-RPC frames through. Others are dropped: nobody who could be answered has sent them. */
export function checkedReader(reader: MessageReader): MessageReader {
  return {
    onError: reader.onError,
    onClose: reader.onClose,
    onPartialMessage: reader.onPartialMessage,
    listen: (callback: DataCallback): Disposable =>
      reader.listen((message) => {
        const frame = wholeFrame(message);
        if (frame) callback(frame);
      }),
    dispose: () => reader.dispose(),
  };
}

/** The frame, where it is one; a request whose parameters are no object gets an empty one, so that it is refused and not lost. */
function wholeFrame(value: unknown): Message | null {
  if (!isObject(value) || value.jsonrpc !== "2.0") return null;
  const { method, id, params, error } = value;
  if (method === undefined)
    return isId(id) && (error === undefined ? "result" in value : isError(error)) ? (value as unknown as Message) : null;
  if (typeof method !== "string") return null;
  if (id === undefined) {
    if (method === "$/cancelRequest") return isObject(params) && isId(params.id) ? (value as unknown as Message) : null;
    if (method === "$/progress") return isObject(params) && isId(params.token) ? (value as unknown as Message) : null;
    return !method.startsWith("$/") && isObject(params) ? (value as unknown as Message) : null;
  }
  if (!isId(id)) return null;
  return (isObject(params) ? value : { ...value, params: {} }) as unknown as Message;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isId(value: unknown): boolean {
  return typeof value === "string" || Number.isSafeInteger(value);
}

function isError(value: unknown): boolean {
  return isObject(value) && Number.isInteger(value.code) && typeof value.message === "string";
}
