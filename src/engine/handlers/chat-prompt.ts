import type { ChatMessage, ToolDefinition } from "../../protocol/engine.js";
import type { NativeModel } from "../native/native.js";

type Renderer = Pick<NativeModel, "renderChat" | "tokenize" | "detokenize" | "isControl" | "bosText" | "eosText" | "bos">;

/** Stand-ins for control text inside a message, from the private use area; a message that holds one itself is left with it. */
const FIRST_STAND_IN = 0xf7000;

/**
 * Tokens of a conversation through the model's own chat template, ending where the answer begins.
 *
 * Control tokens come from the template alone: where a message's text spells one (`<|im_end|>`), that text goes through the template as a
 * stand-in and is tokenised as plain text, so a file that is quoted in a chat cannot close the turn it stands in.
 */
export function renderChat(model: Renderer, messages: readonly ChatMessage[], tools: readonly ToolDefinition[] = []): number[] {
  const standIns = new Map<string, string>();
  const plain = messages.map((message) => ({ ...message, content: replaceControl(message.content, model, standIns) }));
  const rendered = model.renderChat({
    messages: plain.map(templateMessage),
    ...(tools.length > 0 && { tools: tools.map((tool) => ({ type: "function", function: { description: "", parameters: {}, ...tool } })) }),
    add_generation_prompt: true,
    bos_token: model.bosText,
    eos_token: model.eosText,
  });
  const tokens: number[] = [];
  if (standIns.size === 0) tokens.push(...model.tokenize(rendered, true));
  else {
    const pattern = new RegExp(`([${[...standIns.keys()].join("")}])`, "u");
    for (const piece of rendered.split(pattern)) {
      const literal = standIns.get(piece);
      tokens.push(...(literal === undefined ? model.tokenize(piece, true) : model.tokenize(literal, false)));
    }
  }
  // Most templates write the begin-of-text token themselves.
  return model.bos === null || tokens[0] === model.bos ? tokens : [model.bos, ...tokens];
}

function templateMessage({ role, content, toolCalls, toolCallId }: ChatMessage): Record<string, unknown> {
  return {
    role,
    content,
    ...(toolCalls &&
      toolCalls.length > 0 && {
        tool_calls: toolCalls.map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } })),
      }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
  };
}

function replaceControl(text: string, model: Renderer, standIns: Map<string, string>): string {
  let result = text;
  for (const token of new Set(model.tokenize(text, true))) {
    if (!model.isControl(token)) continue;
    const literal = model.detokenize([token], true);
    if (literal === "" || !result.includes(literal)) continue;
    const known = [...standIns].find(([, value]) => value === literal)?.[0];
    const standIn = known ?? String.fromCodePoint(FIRST_STAND_IN + standIns.size);
    standIns.set(standIn, literal);
    result = result.replaceAll(literal, standIn);
  }
  return result;
}
