import "./sinks.css";
import { SinkPanelDownSchema, SinkPanelUpSchema } from "../../src/protocol/sink-panel.js";
import { connect } from "../bridge.js";
import { SinkNavigationSchema, START } from "./navigation.js";
import { SinkView } from "./view.js";

const schemas = { fromHost: SinkPanelDownSchema, toHost: SinkPanelUpSchema, navigation: SinkNavigationSchema };
const view: SinkView = new SinkView(connect(schemas, START, (message) => view.receive(message)));
document.getElementById("root")?.append(view.element);
