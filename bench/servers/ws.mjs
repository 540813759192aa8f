// The npm package ws on Node.

import { once } from "node:events";
import { WebSocketServer } from "ws";
import { urlOf } from "./url.mjs";

export async function start() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const rooms = new Map();
  server.on("connection", (socket, { url }) => {
    const room = rooms.get(url) ?? new Set();
    rooms.set(url, room.add(socket));
    socket.on("close", () => room.delete(socket));
    socket.on("message", (message) => {
      for (const member of room) member.send(message, { binary: false });
    });
    socket.send('{"type":"welcome"}');
  });
  return { url: urlOf(server) };
}
