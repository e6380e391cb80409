/** Writes a text only where it differs: to write the same text again makes the browser lay the page out again. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
