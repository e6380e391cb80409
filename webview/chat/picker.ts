import type { ChatToHost, Suggestion } from "../../src/protocol/chat.js";
import { h, reconcile } from "../dom.js";

/** `#` and the letters behind it, up to the cursor. */
const REFERENCE = /(?:^|\s)#([^\s#]*)$/;

/** The list that `#` opens in the input box: what can be added to the question. The host knows what there is; here is only which line is marked. */
export function createPicker(input: HTMLTextAreaElement, post: (message: ChatToHost) => void, typed: () => void) {
  let items: Suggestion[] = [];
  let marked = 0;
  let query: string | null = null;
  const list = h("div", { class: "picker", role: "listbox", id: "picker", "aria-label": "Add to the question", hidden: true });
  input.setAttribute("aria-controls", "picker");
  input.setAttribute("aria-autocomplete", "list");

  function draw(): void {
    list.hidden = query === null || items.length === 0;
    if (list.hidden) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `pick-${marked}`);
    reconcile(
      list,
      items.map((item, index) => ({ item, index })),
      ({ item }) => item.id,
      ({ item }) =>
        h(
          "div",
          {
            class: "pick",
            role: "option",
            "data-kind": item.kind,
            // Not "click": the input box must keep the focus.
            onmousedown: (event) => {
              event.preventDefault();
              take(item);
            },
          },
          h("span", { class: "pick-label" }),
          h("span", { class: "pick-detail" }),
        ),
      (element, { item, index }) => {
        element.id = `pick-${index}`;
        element.setAttribute("aria-selected", String(index === marked));
        (element.querySelector(".pick-label") as HTMLElement).textContent = item.label;
        (element.querySelector(".pick-detail") as HTMLElement).textContent =
          item.kind === "symbol" ? `symbol, ${item.detail}` : item.detail;
      },
    );
    if (!list.hidden) list.children[marked]?.scrollIntoView({ block: "nearest" });
  }

  function close(): void {
    query = null;
    items = [];
    draw();
  }

  function take(item: Suggestion): void {
    const at = input.selectionStart;
    const before = input.value.slice(0, at).replace(/#[^\s#]*$/, "");
    input.value = before + input.value.slice(at).replace(/^\s/, before === "" || /\s$/.test(before) ? "" : " ");
    input.setSelectionRange(before.length, before.length);
    post({ type: "pick", item: item.id });
    close();
    typed();
  }

  return {
    element: list,
    close,
    /** Call whenever the text or the cursor has changed. */
    update(): void {
      const now = REFERENCE.exec(input.value.slice(0, input.selectionStart))?.[1] ?? null;
      if (now === query) return;
      query = now;
      marked = 0;
      if (now === null) close();
      else post({ type: "suggest", query: now });
    },
    show(of: string, found: Suggestion[]): void {
      if (of !== query) return;
      items = found;
      marked = 0;
      draw();
    },
    /** Whether the list took the key. */
    key(event: KeyboardEvent): boolean {
      if (list.hidden) return false;
      const item = items[marked];
      if (event.key === "ArrowDown") marked = (marked + 1) % items.length;
      else if (event.key === "ArrowUp") marked = (marked + items.length - 1) % items.length;
      else if (event.key === "Escape") close();
      else if ((event.key === "Enter" || event.key === "Tab") && item) take(item);
      else return false;
      if (query !== null) draw();
      return true;
    },
  };
}
