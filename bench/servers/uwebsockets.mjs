// uWebSockets.js on Node. It is not a dependency, since its author publishes it on GitHub alone: what npm has is a
// copy that somebody else made, 250 MB of machine code for every platform. Whoever wants it here brings it by the
// line that the benchmark prints where it is missing.

// @ts-nocheck: most often its types are as little here as itself.

import { createRequire } from "node:module";

const require = createRequire(new URL("../../target/bench/uwebsockets/", import.meta.url));
const { App, us_socket_local_port: portOf } = require("uwebsockets");

export function start() {
  const app = App().ws("/*", {
    idleTimeout: 0,
    // Its default drops what a slow reader has not taken yet.
    maxBackpressure: 64 * 1024 * 1024,
    maxPayloadLength: 1024 * 1024,
    upgrade(response, request, context) {
      const header = (name) => request.getHeader(`sec-websocket-${name}`);
      response.upgrade(
        { room: request.getUrl() },
        header("key"),
        header("protocol"),
        header("extensions"),
        context,
      );
    },
    open(socket) {
      socket.subscribe(socket.getUserData().room);
      socket.send('{"type":"welcome"}');
    },
    message(socket, message) {
      app.publish(socket.getUserData().room, message, false);
    },
  });
  return new Promise((resolve, reject) => {
    app.listen("127.0.0.1", 0, (listening) => {
      if (listening) resolve({ url: `ws://127.0.0.1:${portOf(listening)}` });
      else reject(new Error("uWebSockets.js found no port"));
    });
  });
}
