import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import * as vscode from "vscode";
import { settingSchemas } from "../../src/host/settings.js";
import { test, until } from "./harness.js";
import { EXTENSION, services } from "./services.js";

interface Manifest {
  contributes: {
    commands: { command: string; title: string; category: string }[];
    keybindings: { key: string }[];
    configuration: { properties: Record<string, { default: unknown; scope: string; minimum?: number; maximum?: number }> };
  };
  capabilities: { untrustedWorkspaces: { supported: string; restrictedConfigurations: string[] } };
}

const manifest = () => vscode.extensions.getExtension(EXTENSION)?.packageJSON as Manifest;

test("activation comes by itself, without the engine", async () => {
  const extension = vscode.extensions.getExtension(EXTENSION);
  assert.ok(extension);
  await until("active after start-up", () => extension.isActive, 20_000);
  const { engine } = await services();
  assert.equal(engine.pid, undefined, "the engine starts with the first request");
});

test("every contributed command is registered and titled", async () => {
  await services();
  const known = new Set(await vscode.commands.getCommands(true));
  const { commands } = manifest().contributes;
  assert.ok(commands.length > 10);
  for (const { command, title, category } of commands) {
    assert.ok(known.has(command), `${command} is contributed but not registered`);
    assert.ok(title.length > 3);
    assert.equal(category, "ACT");
  }
});

test("every picture and icon that package.json names is there", () => {
  const extension = vscode.extensions.getExtension(EXTENSION);
  const names = [...JSON.stringify(extension?.packageJSON).matchAll(/"(media\/[^"]+)"/g)].map((match) => match[1] ?? "");
  assert.ok(names.length >= 5);
  for (const name of names) assert.ok(existsSync(join(extension?.extensionPath ?? "", name)), name);
});

test("settings: package.json and the schemas name the same ones, and every default and limit fits", () => {
  const { properties } = manifest().contributes.configuration;
  assert.deepEqual(
    Object.keys(properties).sort(),
    Object.keys(settingSchemas)
      .map((name) => `act.${name}`)
      .sort(),
  );
  for (const [name, property] of Object.entries(properties)) {
    const schema = settingSchemas[name.slice(4) as keyof typeof settingSchemas];
    assert.ok(v.is(schema, property.default), `${name}: its default does not fit`);
    if (property.minimum !== undefined) {
      assert.ok(v.is(schema, property.minimum) && !v.is(schema, property.minimum - 1), `${name}: minimum`);
      assert.ok(v.is(schema, property.maximum) && !v.is(schema, (property.maximum ?? 0) + 1), `${name}: maximum`);
    }
  }
});

test("settings that do not fit are reported and their defaults used", async () => {
  const { settings } = await services();
  const configuration = vscode.workspace.getConfiguration("act");
  await configuration.update("completions.maxTokens", "many", vscode.ConfigurationTarget.Global);
  try {
    assert.equal(settings.get("completions.maxTokens"), 96);
  } finally {
    await configuration.update("completions.maxTokens", undefined, vscode.ConfigurationTarget.Global);
  }
});

test("model paths, download sources and head sets are restricted in untrusted workspaces", () => {
  const { supported, restrictedConfigurations } = manifest().capabilities.untrustedWorkspaces;
  assert.equal(supported, "limited");
  assert.deepEqual(restrictedConfigurations.sort(), [
    "act.chat.headSet",
    "act.completions.headSet",
    "act.headSet",
    "act.model.downloadSource",
    "act.model.path",
    "act.task.headSet",
  ]);
});

test("our default keys collide with none of VS Code's", async () => {
  const { keybindings } = manifest().contributes;
  const document = await vscode.workspace.openTextDocument(vscode.Uri.parse("vscode://defaultsettings/keybindings.json"));
  // The list holds the keys of extensions too: ours, and those of no other.
  const all = JSON.parse(document.getText().replace(/^\s*\/\/.*$/gm, "")) as { key: string; command: string }[];
  assert.ok(all.length > 300, `${all.length} default keys`);
  const taken = all.filter(({ command }) => !command.startsWith("act."));
  for (const { key } of keybindings) {
    const [first = ""] = key.split(" ");
    const clash = taken.filter((one) => one.key === first || one.key.startsWith(`${first} `));
    assert.deepEqual(clash, [], key);
  }
});
