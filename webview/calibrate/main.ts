import "./calibrate.css";
import { CalibrateToHostSchema, CalibrateToViewSchema } from "../../src/protocol/calibrate-panel.js";
import { connect } from "../bridge.js";
import { CalibrateNavigationSchema, START } from "./navigation.js";
import { CalibrateView } from "./view.js";

const schemas = { fromHost: CalibrateToViewSchema, toHost: CalibrateToHostSchema, navigation: CalibrateNavigationSchema };
const view: CalibrateView = new CalibrateView(connect(schemas, START, (message) => view.receive(message)));
document.getElementById("root")?.append(view.element);
