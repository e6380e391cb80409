import "./sinks.css";
import { SinksToHostSchema, SinksToViewSchema } from "../../src/protocol/sink-panel.js";
import { connect } from "../bridge.js";
import { SinkNavigationSchema, START } from "./navigation.js";
import { SinkView } from "./view.js";

const schemas = { fromHost: SinksToViewSchema, toHost: SinksToHostSchema, navigation: SinkNavigationSchema };
const view: SinkView = new SinkView(connect(schemas, START, (message) => view.receive(message)));
document.getElementById("root")?.append(view.element);
