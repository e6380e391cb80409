/** Accessibility by axe-core: WCAG 2.2 A and AA, and best practices. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Locator } from "playwright-core";

export interface AxeFinding {
  id: string;
  impact: string | null;
  nodes: string[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Looks at the document (a page's, or that of a frame in it) whose body this is. */
export async function axe(body: Locator): Promise<AxeFinding[]> {
  const frame = await (await body.elementHandle())?.ownerFrame();
  if (!frame) throw new Error("This body belongs to no document.");
  await frame.evaluate(AXE); // by the debugger, because the content policy lets no script in
  return await frame.evaluate(async () => {
    type Axe = {
      run(): Promise<{ violations: { id: string; impact: string | null; nodes: { html: string; failureSummary?: string }[] }[] }>;
    };
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run();
    return violations.map(({ id, impact, nodes }) => ({
      id,
      impact,
      nodes: nodes.slice(0, 4).map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary ?? ""}`),
    }));
  });
}
