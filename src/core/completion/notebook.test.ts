import assert from "node:assert/strict";
import { test } from "node:test";
import { textOfCells } from "./notebook.js";

const code = (text: string, languageId = "python") => ({ languageId, code: true, text });

test("the cells before the cursor are one file, what is said between them comments", () => {
  const cells = [
    code("var_a = 1\r\nvar_b = 2\r\n"),
    { languageId: "markdown", code: false, text: "# Sums\n\nof both" },
    code("SELECT 1", "sql"),
    code("  \n"),
    code("total = var_a + var_b"),
  ];
  assert.equal(textOfCells(cells, "python"), "var_a = 1\nvar_b = 2\n\n# # Sums\n#\n# of both\n\ntotal = var_a + var_b\n\n");
  assert.equal(textOfCells([], "python"), "");
});
