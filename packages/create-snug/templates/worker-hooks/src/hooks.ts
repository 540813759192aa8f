// The functions that Snug calls. Their rules are in the README of snug-worker.

import { type Env, type Hooks, rooms } from "snug-worker";

export const hooks: Hooks<Env> = {
  /** Names a user who sends no token, by a cookie of your site. */
  async auth({ room, headers }) {
    const session = /(?:^|; )session=([^;]+)/.exec(headers.get("cookie") ?? "")?.[1];
    const user = session && (await findUser(session));
    return user ? { user: user.id, rooms: room ? [room] : ["*"], info: { name: user.name } } : undefined;
  },

  /** Decides about each message before it is stored. */
  publish: ({ messages }) =>
    messages.map(({ data }) =>
      JSON.stringify(data).includes("spam") ? { allow: false, reason: "no spam, please" } : { allow: true },
    ),

  /** Receives events, in order and at least once: a message with a known key is not stored again. */
  async webhook({ room, events }, env) {
    for (const event of events) {
      if (event.type !== "member.joined") continue;
      const data = { text: `Welcome, ${event.user}!` };
      await rooms(env).room(room).publish({ data, key: event.id });
    }
  },
};

/** Returns the user of a session. Look it up in your database: until then, every user needs a token. */
async function findUser(_session: string): Promise<{ id: string; name: string } | undefined> {
  return undefined;
}
