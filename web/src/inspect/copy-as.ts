// Writes the connection, or a command, as a program: for curl, for wscat, or in JavaScript with the client.

import type { ConnectionKind } from "./inspector-connection.js";
import { isObject, singleLine, tryParse } from "./json.js";

/** Options of the connection that a program opens. */
export interface ProgramOptions {
  kind: ConnectionKind;
  /** The room that it joins. */
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
 * Returns programs by name. With `text`, they join the room and send it; without, they join the room, and curl checks
 * the admission. The HTTP API and the client do not have all commands.
 */
export function programsFor(options: ProgramOptions, origin: string, text?: string): Record<string, string> {
  const { room, token } = options;
  const bearer = "Authorization: Bearer ";
  const header = ` --header ${token === undefined ? `"${bearer}$TOKEN"` : quote(bearer + token)} `;
  const { path, flags = "", call } = text === undefined ? { path: "socket", call: "" } : actionFor(text);
  const url = `${origin}/v1/rooms/${encodeURIComponent(room)}/${path}`;
  return {
    ...(path !== undefined && { curl: `curl --include${header}${flags}${quote(url)}` }),
    wscat: `wscat --subprotocol snug.v1${header}${wscatArguments(options, origin, text)}`,
    ...(call !== undefined && { JavaScript: joinCode(options, origin) + call }),
  };
}

function wscatArguments(options: ProgramOptions, origin: string, text?: string): string {
  const { path, commands } = socketOf(options, text);
  const url = `${origin.replace("http", "ws")}/v1/${path}`;
  // With the subprotocol, a line break would end a command.
  const lines = commands.map((command) => (tryParse(command) === undefined ? command : singleLine(command)));
  const execute = lines.map((line) => ` --execute ${quote(line)}`).join("");
  return `--connect ${quote(url)}${execute && ` --wait -1${execute}`}`;
}

/** Returns the path of the socket, and the commands that join the room and send the text. */
function socketOf({ kind, room, last, presence }: ProgramOptions, text?: string) {
  const commands = text === undefined ? [] : [text];
  if (kind === "room") {
    const query = `last=${last}&presence=${presence ? 1 : 0}`;
    return { path: `rooms/${encodeURIComponent(room)}/socket?${query}`, commands };
  }
  const join = JSON.stringify({ type: "join", room, last, presence });
  const inRoom = commands.map((command) => {
    const value = tryParse(command);
    // Raw text may have a room already.
    const isForRoom = START.test(command) && isObject(value) && value.room === undefined;
    return isForRoom ? command.replace("{", () => `{"room":${JSON.stringify(room)},`) : command;
  });
  return { path: "socket", commands: [join, ...inRoom] };
}

/** Returns JavaScript that joins the room with the client. */
function joinCode({ kind, room, last, presence, token }: ProgramOptions, origin: string): string {
  const name = literal(room);
  const getToken = `getToken: () => ${token === undefined ? "process.env.TOKEN" : literal(token)},`;
  const listeners = `for (const event of ["status", "message", "signal", "members", "gap", "error"]) {
  room.on(event, (value) => console.log(event, value));
}
`;
  if (kind === "session") {
    return `import { createSnug } from "snug-client";

const snug = createSnug({
  url: ${literal(origin)},
  ${getToken}
});
const room = snug.room(${name}, { last: ${last}, presence: ${presence} });
${listeners}`;
  }
  return `import { joinRoom } from "snug-client";

const room = joinRoom({
  url: ${literal(origin)},
  room: ${name},
  ${getToken}
  last: ${last},
  presence: ${presence},
});
${listeners}`;
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
