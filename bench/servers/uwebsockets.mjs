// uWebSockets.js on Node. It is not a dependency, because its author publishes it only on GitHub: the npm package is
// a third party's copy, with 250 MB of binaries for all platforms. If it is missing, the benchmark prints the command
// that installs it.

// @ts-nocheck: its types are missing unless it is installed.

import { createRequire } from "node:module";

const require = createRequire(new URL("../../target/bench/uwebsockets/", import.meta.url));
const { App, us_socket_local_port: portOf } = require("uwebsockets");

export function start() {
  const app = App().ws("/*", {
    idleTimeout: 0,
    // The default drops messages for slow readers.
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
      else reject(new Error("uWebSockets.js cannot listen on 127.0.0.1"));
    });
  });
}
