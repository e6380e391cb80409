/**
 * The only file that knows @vscode/webview-ui-toolkit (archived upstream since January 2025) and @vscode-elements/elements, its successor, which
 * serves what the toolkit has broken: its checkbox says "change" when a view sets it, too. To move more controls, change this file: the views use
 * the makers below and never a tag name. Both sets define `vscode-checkbox` and others; only one of the two is registered for each.
 */
import "@vscode-elements/elements/dist/vscode-checkbox/index.js";
import {
  provideVSCodeDesignSystem,
  vsCodeBadge,
  vsCodeButton,
  vsCodeDivider,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeTextArea,
  vsCodeTextField,
} from "@vscode/webview-ui-toolkit";
import { h } from "./dom.js";

provideVSCodeDesignSystem().register(
  vsCodeBadge(),
  vsCodeButton(),
  vsCodeDivider(),
  vsCodeDropdown(),
  vsCodeOption(),
  vsCodeProgressRing(),
  vsCodeTextArea(),
  vsCodeTextField(),
);

export interface Control extends HTMLElement {
  value: string;
  disabled: boolean;
}
export interface Check extends HTMLElement {
  checked: boolean;
  disabled: boolean;
}

export interface ButtonOptions {
  look?: "primary" | "secondary" | "icon";
  title?: string;
  disabled?: boolean;
  /** For tests and styles. */
  name?: string;
}

/** What is read aloud begins with what is seen, so that it can also be said. */
function accessibleName(label: string, title: string | undefined): string {
  if (!title || title === label) return label;
  return title.toLowerCase().includes(label.toLowerCase()) ? title : `${label}: ${title}`;
}

export function button(label: string, onClick: () => void, options: ButtonOptions = {}): Control {
  const { look = "secondary", title, disabled, name } = options;
  return h(
    "vscode-button",
    { appearance: look, title, "aria-label": accessibleName(label, title), disabled, "data-name": name, onclick: onClick },
    label,
  ) as Control;
}

/** A list to choose one of. `onChange` gets the chosen value. */
export function dropdown(
  label: string,
  options: readonly { value: string; label: string }[],
  value: string,
  onChange: (value: string) => void,
  name?: string,
): Control {
  const list = h("vscode-dropdown", { "aria-label": label, title: label, "data-name": name }) as Control;
  setOptions(list, options, value);
  list.addEventListener("change", () => onChange(list.value));
  return list;
}

/** Gives a dropdown other options; nothing is touched where they are the same, so an open list stays open. */
export function setOptions(list: Control, options: readonly { value: string; label: string }[], value: string): void {
  const key = JSON.stringify(options);
  if (list.dataset.options !== key) {
    list.dataset.options = key;
    list.replaceChildren(...options.map((o) => h("vscode-option", { value: o.value, selected: o.value === value }, o.label)));
  }
  if (list.value !== value) list.value = value;
}

export function checkbox(label: string, checked: boolean, onChange: (checked: boolean) => void, name?: string): Check {
  const box = h("vscode-checkbox", { "data-name": name, label }) as Check;
  box.checked = checked;
  box.addEventListener("change", () => onChange(box.checked));
  return box;
}

export function textArea(label: string, options: { rows?: number; placeholder?: string; name?: string } = {}): Control {
  const { rows = 3, placeholder, name } = options;
  return h("vscode-text-area", { "aria-label": label, rows, placeholder, resize: "vertical", "data-name": name }) as Control;
}

export function textField(label: string, options: { placeholder?: string; value?: string; name?: string } = {}): Control {
  const { placeholder, value, name } = options;
  return h("vscode-text-field", { "aria-label": label, placeholder, value, "data-name": name }) as Control;
}

export function badge(text: string, title?: string): HTMLElement {
  return h("vscode-badge", { title }, text);
}

export function divider(): HTMLElement {
  return h("vscode-divider");
}

export function progressRing(label: string): HTMLElement {
  return h("vscode-progress-ring", { "aria-label": label });
}
