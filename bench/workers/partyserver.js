// A room on PartyServer, which verifies a token as its documentation shows.

import { jwtVerify } from "jose";
import { routePartykitRequest, Server } from "partyserver";

export class Room extends Server {
  static options = { hibernate: true };

  onConnect(connection) {
    connection.send(JSON.stringify({ type: "welcome", room: this.name, connection: connection.id }));
  }

  onMessage(_connection, message) {
    this.broadcast(message);
  }
}

async function onBeforeConnect(request, { JWT_SECRET }) {
  const token = request.headers.get("Authorization")?.replace("Bearer ", "") ?? "";
  try {
    await jwtVerify(token, new TextEncoder().encode(JWT_SECRET), { algorithms: ["HS256"] });
  } catch {
    return new Response("Unauthorized", { status: 401 });
  }
}

export default {
  async fetch(request, env) {
    const auth = { onBeforeConnect: (request) => onBeforeConnect(request, env) };
    const response = await routePartykitRequest(request, env, env.JWT_SECRET ? auth : {});
    return response ?? new Response("Not found", { status: 404 });
  },
};
