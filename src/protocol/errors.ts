/** Codes a caller may act on. The sentence in `message` is for people: what was wrong, where, what to do. */
export type ErrorCode =
  | "usage" // wrong arguments or settings: exit code 2
  | "model-file" // missing, damaged or unsupported GGUF
  | "model-memory" // model or context does not fit this machine's memory
  | "context-overflow" // prompt longer than context or segment
  | "head-set" // damaged head set, or one for another model
  | "unsupported" // architecture, backend or binary cannot do what was asked
  | "stock-binary" // the loaded llama.cpp binary is not ours
  | "data" // evaluation data missing or malformed
  | "store" // disk full, unwritable cache
  | "download" // cut, changed or with a wrong hash
  | "cancelled"
  | "other-backend" // the engine process has another backend open: the client starts it anew and asks again
  | "engine-gone" // the engine process died, hangs or was stopped
  | "internal";

/** The one error class that crosses the wire; anything else that is thrown becomes `internal`. */
export class ActError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "ActError";
  }
}

export function toActError(error: unknown): ActError {
  if (error instanceof ActError) return error;
  if (error instanceof Error && error.name === "AbortError") return new ActError("cancelled", "The request was cancelled.");
  return new ActError("internal", error instanceof Error ? error.message : String(error), { cause: error });
}

/** Exit code of the cli: 1 a run-time failure, 2 wrong usage, 130 interrupted. */
export function exitCode(code: ErrorCode): number {
  return code === "usage" || code === "head-set" ? 2 : code === "cancelled" ? 130 : 1;
}
