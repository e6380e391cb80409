import path from "node:path";
import type { LabelResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { share } from "../../protocol/requests/fields.js";
import { dataFlag, number, text } from "../arguments.js";
import type { Command } from "../command.js";
import { signed, table } from "../table.js";

export const label: Command = {
  does: "label the rows of a table, by the best of the rivals on rows already labelled",
  usage: "--task FILE --in ROWS --out FILE [--confidence P] [--heads SET] [--resume]",
  flags: {
    task: { value: "FILE", does: "a task file with labelled rows (.json, .jsonl), or a published task" },
    in: { value: "ROWS", does: "the table: .csv, .tsv or .jsonl; rows whose label is filled in are learned from" },
    out: { value: "FILE", does: "a new file: the same rows with label and probability" },
    confidence: { value: "P", does: "leaves rows blank whose label is less probable", schema: share, default: "0" },
    resume: { does: "go on with the run that was interrupted" },
  },
  async run(session, flags) {
    const needed = (name: "task" | "in" | "out", what: string) => {
      const given = text(flags, name);
      if (given === undefined || given === "") throw new ActError("usage", `Name ${what} with --${name}.`);
      return given;
    };
    const task = needed("task", "a task file, which says what the labels are,");
    const params = {
      task: /\.jsonl?$/i.test(task) ? path.resolve(task) : task,
      ...dataFlag(flags),
      in: path.resolve(needed("in", "the table of rows")),
      out: path.resolve(needed("out", "a new file for the labelled rows")),
      confidence: number(flags, "confidence"),
      resume: flags.resume === true,
    };
    const model = await session.load({ sequences: 0 });
    const calibration = await session.calibration(model);
    const result = await session.request(
      "label",
      { ...params, calibration },
      {
        onProgress: ({ task: part, done, total, promptsPerSecond }) =>
          session.progress(`${part}: ${done} of ${total}, ${promptsPerSecond.toFixed(1)} a second`),
      },
    );
    return { json: result, text: summary(result) };
  },
};

function summary({ labelled, blank, unjudged, marked, method, expected, confident, rivals, out }: LabelResult): string {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const share = ({ accuracy, interval, n }: LabelResult["expected"]) =>
    `${percent(accuracy)} (95 % interval ${percent(interval[0])} to ${percent(interval[1])}, measured on ${n} labelled rows)`;
  const rows = rivals.map(({ name, accuracy, difference, interval }) => [
    name,
    accuracy.toFixed(3),
    signed(difference),
    `${signed(interval[0])} to ${signed(interval[1])}`,
  ]);
  return [
    table(["rule", "accuracy", "difference", "95 % interval"], rows),
    "",
    `${labelled} rows labelled by "${method}", ${blank} left blank${unjudged > 0 ? ` (${unjudged} of them without text or too long)` : ""}, ${marked} had a label.`,
    `Expect ${share(expected)} of the labels to be right${confident ? `, before the confidence; with it ${share(confident)}` : ""}.`,
    out,
  ].join("\n");
}
