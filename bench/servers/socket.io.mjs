// Socket.IO on Node.

import { once } from "node:events";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { urlOf } from "./url.mjs";

export async function start() {
  const http = createServer().listen(0, "127.0.0.1");
  await once(http, "listening");
  const server = new Server(http, { transports: ["websocket"] });
  server.on("connection", (socket) => {
    const room = String(socket.handshake.query.room);
    socket.join(room);
    socket.on("message", (message) => server.to(room).emit("message", message));
    socket.emit("welcome");
  });
  return { url: urlOf(http) };
}
