import * as v from "valibot";

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}
declare function acquireVsCodeApi(): VsCodeApi;

export interface Bridge<ToHost, Navigation> {
  post(message: ToHost): void;
  /** What survives a reload of the view: where the user was, never content. */
  navigation: Navigation;
}

/**
 * Connects a view with its host. Messages are checked on arrival and before they leave; one that does not fit is reported on the console and
 * dropped. Outside VS Code (fixtures, tests) the page posts messages to its own window, and what the view sends is collected in
 * `window.actOutbox`.
 *
 * @param receive called for each checked message; hidden views miss some, so each must be complete in itself
 */
export function connect<In extends v.GenericSchema, Out extends v.GenericSchema, Nav extends v.GenericSchema>(
  schemas: { fromHost: In; toHost: Out; navigation: Nav },
  fallback: v.InferOutput<Nav>,
  receive: (message: v.InferOutput<In>) => void,
): Bridge<v.InferInput<Out>, v.InferOutput<Nav>> {
  const api = typeof acquireVsCodeApi === "function" ? acquireVsCodeApi() : outside();
  window.addEventListener("message", (event: MessageEvent<unknown>) => {
    const message = v.safeParse(schemas.fromHost, event.data);
    if (message.success) receive(message.output);
    else console.warn("A message from the host does not fit:", v.summarize(message.issues));
  });
  const stored = v.safeParse(schemas.navigation, api.getState());
  let navigation = stored.success ? stored.output : fallback;
  return {
    post: (message) => {
      const checked = v.safeParse(schemas.toHost, message);
      if (checked.success) api.postMessage(checked.output);
      else console.warn("A message to the host does not fit:", v.summarize(checked.issues));
    },
    get navigation() {
      return navigation;
    },
    set navigation(value) {
      navigation = value;
      api.setState(value);
    },
  };
}

function outside(): VsCodeApi {
  const outbox: unknown[] = [];
  let state: unknown;
  Object.assign(window, { actOutbox: outbox });
  return {
    postMessage: (message) => void outbox.push(message),
    getState: () => state,
    setState: (next) => {
      state = next;
    },
  };
}
