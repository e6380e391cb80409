import * as v from "valibot";
import { fileContext, postprocess } from "../../core/completion/postprocess.js";
import { ActError } from "../../protocol/errors.js";
import { text } from "../arguments.js";
import type { Command } from "../command.js";
import { readText } from "../prompt.js";

const caseSchema = v.object({ language: v.string(), prefix: v.string(), suffix: v.string(), answer: v.string() });

export const filters: Command = {
  does: "what the editor would make of given answers",
  usage: "--cases FILE.jsonl",
  flags: {
    cases: { value: "FILE", does: "a case a line: language (as VS Code names it), prefix, suffix, answer; - is standard input" },
  },
  help: "A suggestion is stopped where its line or block ends before it is filtered; given answers are filtered whole. No model is needed.",
  async run(session, flags) {
    const file = text(flags, "cases");
    if (file === undefined) throw new ActError("usage", "Name the file of answers with --cases FILE.jsonl.");
    const lines = (await readText(file)).replace(/^\ufeff/, "").split(/\r?\n/);
    const rows = lines.flatMap((line, i) => {
      if (line.trim() === "") return [];
      const { language, prefix, suffix, answer } = parseCase(line, `${file}, line ${i + 1}`);
      return [postprocess(answer, fileContext(language, { prefix, suffix }, answer))];
    });
    const shown = rows.map(({ text, applied, dropped }, i) => {
      const did = dropped ? `nothing left by: ${dropped}` : applied.length > 0 ? `changed by: ${applied.join(", ")}` : "unchanged";
      return `${i + 1}. ${did}\n${text}`;
    });
    if (!session.json && rows.length === 0) session.note("The file holds no cases.");
    return { json: { rows }, text: shown.join("\n") };
  },
};

/** @throws ActError `usage` with the place of what is wrong */
function parseCase(line: string, place: string): v.InferOutput<typeof caseSchema> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ActError("usage", `${place} is not JSON; each line is an object with language, prefix, suffix and answer.`);
  }
  const result = v.safeParse(caseSchema, value);
  if (result.success) return result.output;
  const field = v.getDotPath(result.issues[0]) ?? "the line";
  throw new ActError("usage", `${place}: ${field} is no text; each line is an object with language, prefix, suffix and answer, all texts.`);
}
