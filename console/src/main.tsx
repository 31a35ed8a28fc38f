import { render } from "preact";
import { App } from "./app";
import { endpoint } from "./endpoint";
import { Live, setLive } from "./live";
import "./style.css";

const { rpc, socket } = endpoint(location.href);
const live = new Live(rpc, { socketUrl: socket });
setLive(live);
live.start();
const root = document.getElementById("app");
if (root) render(<App />, root);
