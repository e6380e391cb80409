// Evaluation data from the Hugging Face Hub, at a pinned revision and hash.
import { ActError } from "../protocol/errors.js";

export async function fetchHubData(task: string, folder: string, _options: { signal?: AbortSignal }): Promise<void> {
  throw new ActError(
    "data",
    `The evaluation data of ${task} is not here: ${folder} does not exist. Name its folder with --data or ACT_DATA.`,
  );
}
