import { rulesFor } from "./language.js";

export interface Cell {
  languageId: string;
  code: boolean;
  text: string;
}

/** What stands before a cell of a notebook, as one file of its language: earlier cells of the language, what is said between them as comments. */
export function textOfCells(cells: readonly Cell[], languageId: string): string {
  const { lineComment } = rulesFor(languageId);
  const parts = cells.flatMap(({ code, languageId: language, text }) => {
    const body = text.replace(/\r\n?/g, "\n").trimEnd();
    if (body === "") return [];
    if (code) return language === languageId ? [body] : [];
    return lineComment === null ? [] : [body.replace(/^/gm, `${lineComment} `).replace(/[ ]+$/gm, "")];
  });
  return parts.map((part) => `${part}\n\n`).join("");
}
