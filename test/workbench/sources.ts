import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/** A small workspace: some of this project's own files, of several languages. */
export function sources(): Record<string, string> {
  const files = [
    "picture/colour",
    "picture/scale",
    "picture/png",
    "completion/debounce",
    "numbers/random",
    "numbers/paired",
    "sinks/values",
    "conversation/text-stream",
  ].map((name) => `src/core/${name}.ts`);
  return Object.fromEntries([
    ...files.map((file) => [file, readFileSync(resolve(file), "utf8")]),
    [
      "greet.py",
      'def greet(name):\n    """Say hello."""\n    print("Hello " + name)\n\n\ndef part(name):\n    print("Goodbye " + name)\n\n\n',
    ],
  ]);
}
