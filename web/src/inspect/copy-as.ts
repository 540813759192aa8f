// Writes the connection, or a command, as a program: for curl, for wscat, or in JavaScript with the client.

import { singleLine, tryParse } from "./json.js";

/** Options of the connection that a program opens. */
export interface ProgramOptions {
  room: string;
  last: number;
  presence: boolean;
  /** If undefined, the programs read the token from the environment variable `TOKEN`. */
  token?: string | undefined;
}

/** Quotes a text for a POSIX shell. */
const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** Writes a value as a JavaScript literal. There, `__proto__` as a plain name would set the prototype. */
const literal = (value: unknown) => JSON.stringify(value).replace(/([{,])"__proto__":/g, '$1["__proto__"]:');

/**
 * Returns programs by name. With `text`, they connect and send it; without, they connect, and curl checks the
 * admission. The HTTP API and the client do not have all commands.
 */
export function programsFor(
  { room, last, presence, token }: ProgramOptions,
  origin: string,
  text?: string,
): Record<string, string> {
  const url = `${origin}/v1/rooms/${encodeURIComponent(room)}/`;
  const bearer = "Authorization: Bearer ";
  const header = ` --header ${token === undefined ? `"${bearer}$TOKEN"` : quote(bearer + token)} `;
  const socket = `${url.replace("http", "ws")}socket?last=${last}&presence=${presence ? 1 : 0}`;
  const { path, flags = "", call } = text === undefined ? { path: "socket", call: "" } : actionFor(text);
  // With the subprotocol, a line break would end a command.
  const line = text !== undefined && tryParse(text) !== undefined ? singleLine(text) : text;
  const send = line === undefined ? "" : ` --wait -1 --execute ${quote(line)}`;
  return {
    ...(path !== undefined && { curl: `curl --include${header}${flags}${quote(url + path)}` }),
    wscat: `wscat --subprotocol snug.v1${header}--connect ${quote(socket)}${send}`,
    ...(call !== undefined && {
      JavaScript: `import { joinRoom } from "snug-client";

const room = joinRoom({
  url: ${literal(origin)},
  room: ${literal(room)},
  getToken: () => ${token === undefined ? "process.env.TOKEN" : literal(token)},
  last: ${last},
  presence: ${presence},
});
for (const event of ["status", "message", "signal", "members", "gap", "error"]) {
  room.on(event, (value) => console.log(event, value));
}
${call}`,
    }),
  };
}

interface Action {
  /** The path below the room's, and curl's options, if the HTTP API has the command. */
  path?: string;
  flags?: string;
  /** The call of the client's method, if it has one. */
  call?: string;
}

/** The start of a command, before its fields. Raw text has none, and is sent as it is. */
const START = /^{"type":"\w+","id":1,/;

function actionFor(text: string): Action {
  if (!START.test(text)) return {};
  const { type, data, event, to, user, limit, ban_seconds } = tryParse(text) as Record<string, string>;
  const print = (call: string) => `console.log(await room.${call});\n`;
  switch (type) {
    case "publish":
      return {
        path: "messages",
        // The rest stays as it was written: parsing would round large numbers.
        flags: `--data ${quote(text.replace(START, "{"))} `,
        call: print(`publish(${literal(data)}, ${literal({ event })})`),
      };
    case "signal":
      return {
        call: `await new Promise((resolve) => {
  room.on("status", ({ status }) => status === "connected" && resolve());
});
room.signal(${literal(data)}, ${literal({ event, to })});
`,
      };
    case "state":
      return { call: `room.setState(${literal(data)});\n` };
    case "history":
      return {
        path: `messages?limit=${limit}`,
        call: `for await (const message of room.history({ pageSize: ${limit} })) console.log(message);\n`,
      };
    case "kick":
      return {
        path: `members/${encodeURIComponent(user ?? "")}${ban_seconds === undefined ? "" : `?ban_seconds=${ban_seconds}`}`,
        flags: "--request DELETE ",
        call: print(`kick(${literal(user)}, ${literal({ banSeconds: ban_seconds })})`),
      };
  }
  return {};
}
