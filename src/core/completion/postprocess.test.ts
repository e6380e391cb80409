import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { extentAt } from "./extent.js";
import { rulesFor } from "./language.js";
import { type FilterName, postprocess } from "./postprocess.js";

interface Golden {
  name: string;
  language: string;
  /** The file with ‸ where the cursor is. */
  at: string;
  raw: string;
  want: string;
  applied?: FilterName[];
  dropped?: FilterName;
  tabs?: boolean;
}

const golden: Golden[] = [
  { name: "a plain rest of line stays as it is", language: "typescript", at: "const x = ‸\n", raw: "y + 1;", want: "y + 1;" },
  { name: "nothing is empty", language: "typescript", at: "a‸", raw: " \n ", want: "", dropped: "empty" },
  // Suffix echo
  {
    name: "the closing bracket behind the cursor",
    language: "typescript",
    at: "foo(‸)",
    raw: "a, b)",
    want: "a, b",
    applied: ["suffix echo"],
  },
  { name: "bracket and semicolon", language: "typescript", at: "foo(‸);\n", raw: "a, b);", want: "a, b", applied: ["suffix echo"] },
  { name: "the closing quote", language: "python", at: 'print("‸")\n', raw: 'hello")', want: "hello", applied: ["suffix echo"] },
  {
    name: "code behind the cursor",
    language: "typescript",
    at: "const t = ‸ + offset;\n",
    raw: "base + offset;",
    want: "base",
    applied: ["suffix echo"],
  },
  {
    name: "the next line is not said again",
    language: "python",
    at: "def f(x):\n    ‸\n    return y\n",
    raw: "y = x * 2\n    return y",
    want: "y = x * 2",
    applied: ["suffix echo"],
  },
  {
    name: "nothing but what follows",
    language: "python",
    at: "def f(x):\n    ‸\n    return y\n",
    raw: "return y",
    want: "",
    dropped: "suffix echo",
  },
  { name: "one shared letter is chance", language: "typescript", at: "let a‸ b", raw: "bc db", want: "bc db" },
  // Prefix echo
  {
    name: "the current line said again",
    language: "typescript",
    at: "const total = ‸\n",
    raw: "const total = sum(items);",
    want: "sum(items);",
    applied: ["prefix echo", "indentation"],
  },
  // Repetition
  {
    name: "a loop of one line",
    language: "python",
    at: "x = 1\n‸\n",
    raw: "print(x)\nprint(x)\nprint(x)\nprint(x)",
    want: "print(x)",
    applied: ["repetition"],
  },
  {
    name: "a loop of two lines",
    language: "python",
    at: "x = 1\n‸\n",
    raw: "a = f(1)\nb = g(2)\na = f(1)\nb = g(2)\na = f(1)",
    want: "a = f(1)\nb = g(2)",
    applied: ["repetition"],
  },
  {
    name: "a loop inside a line",
    language: "plaintext",
    at: "so ‸",
    raw: "very much very much very much very much very much",
    want: "very much",
    applied: ["repetition", "trailing blanks"],
  },
  { name: "the line above said again", language: "python", at: "print(total)\n‸\n", raw: "print(total)", want: "", dropped: "repetition" },
  { name: "two equal lines are code", language: "python", at: "x = 1\n‸\n", raw: "next(it)\nnext(it)", want: "next(it)\nnext(it)" },
  // Indentation
  {
    name: "indentation that is there already",
    language: "python",
    at: "def f():\n    ‸\n",
    raw: "    return 1",
    want: "return 1",
    applied: ["indentation"],
  },
  {
    name: "deeper indentation keeps its missing part",
    language: "python",
    at: "if a:\n  ‸\n",
    raw: "    b()",
    want: "  b()",
    applied: ["indentation"],
  },
  {
    name: "spaces become the file's tabs",
    language: "go",
    at: "func f() {\n\t‸\n}\n",
    raw: "if x {\n        y()\n    }",
    want: "if x {\n\t\ty()\n\t}",
    applied: ["indentation"],
    tabs: true,
  },
  {
    name: "tabs become the file's spaces",
    language: "python",
    at: "def f():\n    ‸\n",
    raw: "if x:\n\t\treturn 1",
    want: "if x:\n        return 1",
    applied: ["indentation"],
  },
  {
    name: "a blank that stands before the cursor",
    language: "python",
    at: "x = ‸\n",
    raw: " y + 1",
    want: "y + 1",
    applied: ["indentation"],
  },
  // Chat models
  {
    name: "a fence and the explanation behind it",
    language: "python",
    at: "x = 1\n‸\n",
    raw: "print(x)\n```\n\nThis prints x.",
    want: "print(x)",
    applied: ["code fence", "trailing blanks"],
  },
  {
    name: "code inside a fence",
    language: "python",
    at: "x = 1\n‸\n",
    raw: "```python\nprint(x)\n```",
    want: "print(x)",
    applied: ["code fence", "trailing blanks"],
  },
  { name: "a fence in Markdown is text", language: "markdown", at: "‸", raw: "```", want: "```" },
  // Brackets
  {
    name: "a closer that nothing opened",
    language: "typescript",
    at: "const x = ‸\n",
    raw: "f(1)); done(",
    want: "f(1)",
    applied: ["bracket balance"],
  },
  { name: "the answer may close what the prefix opened", language: "typescript", at: "foo(‸\n", raw: "a, b);", want: "a, b);" },
  {
    name: "but not what the lines below close",
    language: "typescript",
    at: "function f() {\n  ‸\n}\n",
    raw: "return 1;\n}\n\nfunction g() {",
    want: "return 1;",
    applied: ["suffix echo"],
  },
  { name: "brackets in strings do not count", language: "typescript", at: "const s = ‸\n", raw: "')' + \"]\";", want: "')' + \"]\";" },
  { name: "brackets in comments do not count", language: "python", at: "x = 1  ‸\n", raw: "# see (1", want: "# see (1" },
  { name: "the wrong kind of closer", language: "typescript", at: "foo(‸\n", raw: "a]", want: "a", applied: ["bracket balance"] },
  {
    name: "a brace that the editor closed by itself ends the block on its own line",
    language: "typescript",
    at: "function f() {‸}\n",
    raw: "\n  return 1;\n}",
    want: "\n  return 1;\n",
    applied: ["bracket balance"],
  },
  {
    name: "and so inside a class, with its indentation",
    language: "java",
    at: "class A {\n    int f() {‸}\n}\n",
    raw: "\n        return 1;\n    }",
    want: "\n        return 1;\n    ",
  },
  { name: "a list that the editor closed by itself", language: "python", at: "x = [‸]\n", raw: "1, 2]", want: "1, 2" },
  {
    name: "an inner bracket is the answer's own to close",
    language: "typescript",
    at: "f(g(‸);\n",
    raw: "x)",
    want: "x)",
  },
  {
    name: "callbacks that close one inside the other",
    language: "typescript",
    at: 'describe("x", () => {‸\n',
    raw: '\n  it("a", () => {\n    run(() => {\n      go(() => {\n        x();\n      });\n    });\n  });\n});',
    want: '\n  it("a", () => {\n    run(() => {\n      go(() => {\n        x();\n      });\n    });\n  });\n});',
    applied: [],
  },
  // Brackets that are none
  {
    name: "a pattern of a shell",
    language: "shellscript",
    at: 'case "$1" in\n  start)\n    run ;;\n  ‸\nesac\n',
    raw: "stop)\n    halt ;;",
    want: "stop)\n    halt ;;",
  },
  { name: "a numbered step", language: "markdown", at: "Steps:\n\n‸\n", raw: "1) Install it", want: "1) Install it" },
  { name: "a regular expression", language: "javascript", at: "const r = ‸\n", raw: "/\\)+[)]/.test(s);", want: "/\\)+[)]/.test(s);" },
  { name: "a character", language: "rust", at: "fn f(c: char) -> bool {\n    ‸\n}\n", raw: "c == ')'", want: "c == ')'" },
  {
    name: "a lifetime is no quote",
    language: "rust",
    at: "impl<'a> A<'a> {\n    ‸\n}\n",
    raw: "fn f(&'a self) {\n        g();\n    }",
    want: "fn f(&'a self) {\n        g();\n    }",
  },
  { name: "a smiley in a comment", language: "go", at: "x := 1 ‸\n", raw: "// so :)", want: "// so :)" },
  // Closing lines count with their indentation
  {
    name: "the end of a method is not the end of its class",
    language: "ruby",
    at: "class A\n  ‸\nend\n",
    raw: "def f\n    1\n  end",
    want: "def f\n    1\n  end",
  },
  {
    name: "but the end of the class is",
    language: "ruby",
    at: "class A\n  ‸\nend\n",
    raw: "def f\n    1\n  end\nend",
    want: "def f\n    1\n  end",
  },
  {
    name: "an inner element",
    language: "html",
    at: "<div>\n  ‸\n</div>\n",
    raw: "<div>\n    <p>Hi</p>\n  </div>",
    want: "<div>\n    <p>Hi</p>\n  </div>",
  },
  { name: "the outer element is there already", language: "html", at: "<div>\n  ‸\n</div>\n", raw: "<p>Hi</p>\n</div>", want: "<p>Hi</p>" },
  {
    name: "an end of the answer's own block, like the one below",
    language: "cmake",
    at: "if(A)\n  ‸\n  endif()\nendif()\n",
    raw: "if(B)\n    x()\n  endif()\n\n  if(C)\n    y()",
    want: "if(B)\n    x()\n  endif()\n\n  if(C)\n    y()",
  },
  {
    name: "struck out text is no special token",
    language: "html",
    at: "<p>‸\n",
    raw: "Was <s>$10</s> now $5</p>",
    want: "Was <s>$10</s> now $5</p>",
  },
  // Blanks that are meant
  { name: "what is missing of an indentation", language: "python", at: "def f():\n  ‸\n", raw: "  return 1", want: "  return 1" },
  { name: "blanks before a comment", language: "python", at: "x = 1 ‸\n", raw: " # one", want: " # one" },
  { name: "columns", language: "go", at: "type t struct {\n\tname ‸\n\tetype Kind\n}\n", raw: " string", want: " string", tabs: true },
  {
    name: "a continued line under the file's tabs",
    language: "c",
    at: "\tf(a,\n\t  b);\n\t‸\n  x\n",
    raw: "g(a,\n\t  b);",
    want: "g(a,\n\t  b);",
    tabs: true,
  },
  {
    name: "a table of equal lines",
    language: "c",
    at: "int t[] = {‸\n};\n",
    raw: "\n  0, 0, 0, 0,\n  0, 0, 0, 0,\n  1, 0, 0, 0,",
    want: "\n  0, 0, 0, 0,\n  0, 0, 0, 0,\n  1, 0, 0, 0,",
  },
  { name: "a row of numbers", language: "c", at: "  ‸\n", raw: "0x00, 0x00, 0x00, 0x00, 0x00,", want: "0x00, 0x00, 0x00, 0x00, 0x00," },
  { name: "a blank before what stands behind the cursor", language: "typescript", at: "const ‸= 1;\n", raw: "total ", want: "total " },
  {
    name: "fences in a comment",
    language: "python",
    at: '"""Use:\n\n```\nact\n```\n\n‸\n"""\n',
    raw: "```\nact doctor\n```",
    want: "```\nact doctor\n```",
  },
  // Control
  {
    name: "special tokens end the answer",
    language: "typescript",
    at: "a = ‸\n",
    raw: "b;<|endoftext|>more",
    want: "b;",
    applied: ["control characters"],
  },
  {
    name: "carriage returns and escapes go",
    language: "plaintext",
    at: "‸",
    raw: "one\u001b[0m\r\n",
    want: "one[0m",
    applied: ["control characters", "one line"],
  },
  // Extent
  {
    name: "a finished statement is not followed by the next one",
    language: "python",
    at: "x = 1‸\n",
    raw: "\n\ndef f():",
    want: "",
    dropped: "one line",
  },
  {
    name: "code behind the cursor keeps it to one line",
    language: "typescript",
    at: "if (‸) return 1;\nx\n",
    raw: "a ||\n  b",
    want: "a ||",
    applied: ["one line"],
  },
];

describe("post-processing: golden cases", () => {
  for (const g of golden) {
    it(g.name, () => {
      const [prefix = "", suffix = ""] = g.at.split("‸");
      const rules = rulesFor(g.language);
      const result = postprocess(g.raw, {
        prefix,
        suffix,
        rules,
        extent: extentAt({ prefix, suffix }, rules),
        indentation: g.tabs ? "tabs" : "spaces",
        tabSize: 4,
      });
      assert.equal(result.text, g.want);
      assert.equal(result.dropped, g.dropped ?? null);
      if (g.applied) assert.deepEqual(result.applied, g.applied);
    });
  }
});
