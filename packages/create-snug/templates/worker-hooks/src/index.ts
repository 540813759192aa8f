// The Worker: its own routes first, and Snug for everything else.

import { type Context, createWorker, type Env, rooms } from "snug-worker";
import { hooks } from "./hooks";

const snug = createWorker<Env>(hooks);

export const { Room, Gateway } = snug;

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/api/lobby") return Response.json(await describeLobby(env));
    return snug.fetch(request, env, context);
  },
};

/** Counts the members of a room and its messages. Code of the Worker needs no token. */
async function describeLobby(env: Env) {
  const lobby = rooms(env).room("lobby");
  const [{ members }, { messages }] = await Promise.all([lobby.members(), lobby.status()]);
  return { members: members.length, messages };
}
