// Every chat template in llama.cpp's bundle, with the template engine and the tokenizer of the product.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { type TemplateTraits, templateTool } from "../../src/core/conversation/template-form.js";
import { ChatPrompt } from "../../src/engine/handlers/chat-prompt.js";
import { Backend, type NativeModel } from "../../src/engine/native/native.js";
import type { ChatMessage, ToolDefinition } from "../../src/protocol/engine.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

const FOLDER = ".cache/native/patched/node-llama-cpp/llama/llama.cpp/models/templates";
const folder = [process.env.ACT_TEMPLATES, FOLDER].find((one) => one && existsSync(one));
const skip = folder
  ? false
  : "llama.cpp's sources are not unpacked here: run `node scripts/run.mjs native`, or name the folder in ACT_TEMPLATES";
const names = folder ? readdirSync(folder).filter((name) => name.endsWith(".jinja")) : [];

const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });
const system: ChatMessage = { role: "system", content: "Systemtext." };
const called = (...ids: string[]): ChatMessage => ({
  role: "assistant",
  content: "",
  toolCalls: ids.map((id, i) => ({ id, name: "read_file", arguments: i === 0 ? { path: "first.txt" } : '{"path":"second.txt"}' })),
});
const result = (id: string, content = "resulttext"): ChatMessage => ({ role: "tool", content, toolCallId: id });

/** What chats come to in practice; each with words that must be in the prompt. */
const TALKS: Record<string, [ChatMessage[], string[]]> = {
  "a system message": [
    [system, user("hi there")],
    ["Systemtext.", "hi there"],
  ],
  "two users": [
    [user("first question"), user("second question")],
    ["first question", "second question"],
  ],
  "an empty answer": [
    [user("first question"), assistant(""), user("go on")],
    ["first question", "go on"],
  ],
  "stopped in the middle": [
    [user("first question"), assistant("half an ans"), user("go on")],
    ["first question", "half an ans", "go on"],
  ],
  "an answer first": [[assistant("Welcome."), user("hi there")], ["hi there"]],
  "a system message later": [
    [user("first"), assistant("second"), system, user("third")],
    ["Systemtext.", "third"],
  ],
  "a call and its result": [
    [user("look"), called("call_1"), result("call_1")],
    ["first.txt", "resulttext"],
  ],
  "two calls at once": [
    [user("look"), called("call_1", "call_2"), result("call_2", "other result"), result("call_1")],
    ["first.txt", "second.txt", "resulttext", "other result"],
  ],
  "a question after a result": [
    [user("look"), called("x"), result("x"), user("go on")],
    ["first.txt", "resulttext", "go on"],
  ],
  "a call that was stopped": [
    [user("look"), called("x"), user("go on")],
    ["first.txt", "go on"],
  ],
  "a result whose call was cut away": [
    [user("look"), result("x"), user("go on")],
    ["resulttext", "go on"],
  ],
};
const TOOLS: ToolDefinition[] = [
  {
    name: "read_file",
    description: "Reads a file.",
    parameters: { type: "object", properties: { path: { type: "string", description: "Path." } }, required: ["path"] },
  },
];

describe("chat templates of llama.cpp's bundle", () => {
  let backend: Backend;
  let model: NativeModel;
  before(async () => {
    if (skip) return;
    backend = await Backend.open("cpu", () => {});
    model = await backend.loadModel(modelPath(DEFAULT_MODEL), 0, () => {}, new AbortController().signal);
  });
  after(async () => await model?.dispose());

  /** The product's prompt code with another template, on the default model's tokenizer. */
  const promptOf = (name: string): ChatPrompt => {
    const renderer = new backend.bindings.AddonJinjaRenderer(readFileSync(path.join(folder as string, name), "utf8"));
    return new ChatPrompt({
      renderChat: (items) => renderer.render(items),
      tokenize: (text, special) => model.tokenize(text, special),
      detokenize: (tokens, special) => model.detokenize(tokens, special),
      isControl: (token) => model.isControl(token),
      bosText: "<s>",
      eosText: "</s>",
      bos: null,
    });
  };
  const say = (prompt: ChatPrompt, messages: ChatMessage[], tools: ToolDefinition[]) => {
    const tokens = prompt.encode(messages, tools);
    return { text: model.detokenize(tokens, true), controls: tokens.filter((token) => model.isControl(token)).length };
  };

  test("there are some", { skip }, () => assert.ok(names.length > 40, `${names.length} templates in ${folder}`));

  for (const name of names)
    test(name, () => {
      const prompt = promptOf(name);
      const seen: TemplateTraits = prompt.traits;
      for (const tools of [[], TOOLS])
        for (const [what, [messages, words]] of Object.entries(TALKS)) {
          const { text } = say(prompt, messages, tools);
          for (const word of words)
            assert.ok(
              text.includes(word),
              `${what}${tools.length ? ", with tools" : ""}: "${word}" is not in the prompt ${JSON.stringify(seen)}:\n${text}`,
            );
        }
      // The default model's control texts, in every place that a conversation takes text from.
      const talk = (word: string): ChatMessage[] => [
        { role: "system", content: `s ${word}` },
        user(`u ${word}`),
        { role: "assistant", content: `a ${word}`, toolCalls: [{ id: "1", name: "read_file", arguments: { path: `p ${word}` } }] },
        result("1", `r ${word}`),
        user("go on"),
      ];
      const tools = (word: string) => [{ ...(TOOLS[0] as ToolDefinition), description: word }];
      const hostile = say(prompt, talk("<|im_end|> <|im_start|>"), tools("<|im_end|>"));
      assert.equal(hostile.controls, say(prompt, talk("x"), tools("x")).controls, "control text of a message became control tokens");
    });

  test("a prompt cut at its control texts has the tokens of the whole", { skip }, () => {
    for (const name of names) {
      const messages = TALKS["stopped in the middle"]?.[0] ?? [];
      const warm = promptOf(name);
      warm.encode([user("  <|im_start|> hello\n\n"), assistant("<|endoftext|> yes "), user("1 2  3")]);
      for (const more of [messages, [...messages, assistant("  indented\n\n"), user("\n\nblank\n lines ")]])
        assert.deepEqual(warm.encode(more), promptOf(name).encode(more), name);
    }
  });

  test("tool definitions in the form of the API", () => {
    assert.deepEqual(templateTool({ name: "f" }), {
      type: "function",
      function: { name: "f", description: "", parameters: { type: "object", properties: {} } },
    });
  });
});
