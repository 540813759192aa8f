// A room as PROTOCOL.md describes it: its messages, its members, and the replies to commands.

import type {
  Capability,
  Command,
  ErrorCode,
  HistoryCommand,
  JsonObject,
  KickCommand,
  Member,
  Message,
  Position,
  Presence,
  PublishCommand,
  Signal,
  SignalCommand,
} from "../protocol.js";
import type { JoinParameters } from "../refusal-probe.js";

/** A connection's place in the room. */
export interface Place {
  /** Id of the connection. */
  readonly connection: string;
  readonly user: string;
  info: JsonObject;
  can: readonly Capability[];
  /** False if it receives no presence. */
  presence: boolean;
  /** False if it receives no message that it has published. */
  echo: boolean;
  state?: JsonObject;
  /** Sends an object to the client. */
  push(push: object): void;
  /** Ends the place, for the reason that a `closing` has. */
  end(code: number, reason: string): void;
}

/** Author of a message. */
export interface Author {
  user: string;
  connection?: string;
}

type Replied<T> = T | { error: ErrorCode; message: string };

/** The capability that each command needs. */
const NEEDED: { [type in Command["type"]]?: Capability } = {
  publish: "publish",
  signal: "signal",
  state: "presence",
  members: "presence",
  history: "history",
  kick: "moderate",
};

const LAST_MAX = 100;

/** A room's state and rules. */
export class RoomModel {
  readonly name: string;
  readonly epoch = "0000test";
  /** Offset of the newest message. */
  offset = 0;
  /** The stored messages, oldest first. */
  messages: Message[] = [];
  /** All signals so far, with their recipients. */
  readonly signals: (Omit<Signal, "type"> & { to?: string[] })[] = [];
  readonly places = new Set<Place>();
  /** Ends of bans, in Unix ms. */
  readonly #bans = new Map<string, number>();
  /** Times at which members joined, in Unix ms. */
  readonly #since = new Map<string, number>();
  /** Stored messages by user and key. */
  readonly #keys = new Map<string, Message>();

  constructor(name: string) {
    this.name = name;
  }

  /** The members, by user id. */
  get members(): Member[] {
    const users = [...this.#since.keys()].sort();
    return users.map((user) => this.#member(user));
  }

  get #count(): number {
    return this.#since.size;
  }

  isBanned(user: string): boolean {
    return (this.#bans.get(user) ?? 0) > Date.now();
  }

  /** Lets a connection in, or sends another welcome to one that is in. `extra` are further fields of its welcome. */
  join(place: Place, { resume, last = 0 }: JoinParameters, extra: object): void {
    const { user, can } = place;
    const isNew = !this.#since.has(user);
    if (isNew) this.#since.set(user, Date.now());
    this.places.add(place);
    const canReplay = can.includes("receive") && can.includes("history");
    const recovered = resume ? canReplay && this.#isStoredAfter(resume) : null;
    place.push({
      type: "welcome",
      room: this.name,
      can,
      epoch: this.epoch,
      offset: this.offset,
      recovered,
      count: this.#count,
      ...(can.includes("presence") && { members: this.members }),
      ...extra,
    });
    const replayed = recovered
      ? this.messages.filter(({ offset }) => offset > (resume?.offset ?? 0))
      : canReplay && !resume && last > 0
        ? this.messages.slice(-Math.min(last, LAST_MAX))
        : [];
    for (const message of replayed) place.push({ type: "message", ...message });
    if (isNew) this.#announce({ joins: [this.#member(user)] }, place);
  }

  /** Removes a connection, and announces the leave of its user if it was the last one. */
  leave(place: Place): void {
    if (!this.places.delete(place)) return;
    const { user, connection, state } = place;
    const isLast = ![...this.places].some((other) => other.user === user);
    if (isLast) this.#since.delete(user);
    if (isLast) this.#announce({ leaves: [user] });
    else if (state) this.#announce({ updates: [{ user, connection, state: null }] });
  }

  /** Processes a command other than `refresh` and `ping`, and sends the reply. */
  command(place: Place, command: Command): void {
    const { type, id } = command;
    const reply = this.#process(place, command);
    if (!reply) return;
    if ("error" in reply) {
      const { error: code, message } = reply;
      place.push({ type: "error", id, code, message, retryable: false });
    } else if (id !== undefined || type === "members" || type === "history") {
      place.push({ type: "ack", id, ...reply });
    }
  }

  /** Stores a message, unless the author has stored one with the same key. Returns it, and sends it after `stored`. */
  publish(
    { user, connection }: Author,
    { event, key, data }: Pick<PublishCommand, "event" | "key" | "data">,
    stored: (message: Message, isDuplicate: boolean) => void = () => {},
  ): Message {
    const name = JSON.stringify([user, key]);
    const earlier = key === undefined ? undefined : this.#keys.get(name);
    if (earlier) {
      stored(earlier, true);
      return earlier;
    }
    const time = Math.max(Date.now(), this.messages.at(-1)?.time ?? 0);
    // A copy, as a real room has: the application may change its object later.
    const message: Message = JSON.parse(
      JSON.stringify({ offset: ++this.offset, time, user, connection, event, data }),
    );
    this.messages.push(message);
    if (key !== undefined) this.#keys.set(name, message);
    stored(message, false);
    for (const place of this.places) {
      const isSender = connection !== undefined && place.connection === connection;
      if (!place.can.includes("receive") || (isSender && !place.echo)) continue;
      place.push({ type: "message", ...message, ...(place.user === user && { key }) });
    }
    return message;
  }

  /** Sends a signal to all other connections, or to those of the users in `to`. */
  signal(user: string, connection: string, { event, to, data }: Omit<SignalCommand, "type">): void {
    const signal = { user, connection, event, data };
    this.signals.push(JSON.parse(JSON.stringify({ ...signal, to })));
    for (const place of this.places) {
      const isRecipient = place.connection !== connection && (to === undefined || to.includes(place.user));
      if (isRecipient && place.can.includes("receive")) place.push({ type: "signal", ...signal });
    }
  }

  setState(place: Place, state: JsonObject): void {
    place.state = JSON.parse(JSON.stringify(state));
    const { user, connection } = place;
    this.#announce({ updates: [{ user, connection, state }] }, place);
  }

  /** Closes a user's connections, and returns their number. */
  kick({ user, reason, ban_seconds: seconds }: Omit<KickCommand, "type">): number {
    if (seconds === 0) this.#bans.delete(user);
    else if (seconds !== undefined) this.#bans.set(user, Date.now() + seconds * 1000);
    const places = [...this.places].filter((place) => place.user === user);
    for (const place of places) {
      if (seconds) place.end(4101, reason ?? "banned");
      else place.end(4100, reason ?? "kicked");
    }
    for (const place of places) this.leave(place);
    return places.length;
  }

  #process(place: Place, command: Command): Replied<object> | undefined {
    const { type } = command;
    const needed = NEEDED[type];
    if (needed && !place.can.includes(needed)) {
      return { error: "forbidden", message: `the token does not grant '${needed}'` };
    }
    const fault = faultOf(command);
    if (fault) return { error: "bad_command", message: fault };
    switch (type) {
      case "publish":
        this.publish(place, command, ({ offset, time }, duplicate) => {
          if (command.id === undefined) return;
          place.push({ type: "ack", id: command.id, offset, time, ...(duplicate && { duplicate }) });
        });
        return undefined;
      case "signal":
        this.signal(place.user, place.connection, command);
        return {};
      case "state":
        this.setState(place, command.data);
        return {};
      case "members":
        return { type, members: this.members, count: this.#count, truncated: false };
      case "history":
        return { type, ...this.#history(command) };
      case "kick":
        return { closed: this.kick(command) };
      default:
        return { error: "unknown_command", message: `no command has the type '${type}'` };
    }
  }

  #history({ after, before, limit = 50 }: HistoryCommand) {
    const { epoch } = this;
    const newer = this.messages.filter(({ offset }) => offset > (after ?? -1));
    const range = newer.filter(({ offset }) => offset < (before ?? Number.POSITIVE_INFINITY));
    const messages = after === undefined ? range.slice(-limit) : range.slice(0, limit);
    return { epoch, messages, more: range.length > messages.length };
  }

  #member(user: string): Member {
    const places = [...this.places].filter((place) => place.user === user);
    const states = places.flatMap(({ connection, state }) => (state ? [[connection, state]] : []));
    return {
      user,
      info: places.at(-1)?.info ?? {},
      since: this.#since.get(user) ?? 0,
      connections: places.length,
      state: Object.fromEntries(states),
    };
  }

  /** Returns true if all messages after a position are stored. */
  #isStoredAfter({ epoch, offset }: Position): boolean {
    const oldest = this.messages[0]?.offset ?? this.offset + 1;
    return epoch === this.epoch && offset <= this.offset && offset >= oldest - 1;
  }

  /** Sends a presence update to all connections but one. */
  #announce(
    { joins = [], leaves = [], updates = [] }: Partial<Pick<Presence, "joins" | "leaves" | "updates">>,
    except?: Place,
  ): void {
    const push = { type: "presence", joins, leaves, updates, count: this.#count };
    for (const place of this.places) {
      if (place !== except && place.presence && place.can.includes("presence")) place.push(push);
    }
  }
}

/** Returns the fault of a command. The client makes none, so only the fields that an application fills are checked. */
function faultOf(command: Command): string | undefined {
  const { type } = command;
  if (typeof type !== "string") return "'type' is missing";
  const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  if ((type === "publish" || type === "signal") && command.data === undefined) return "'data' is missing";
  if (type === "state" && !isObject(command.data)) return "'data' must be an object";
  if (type === "kick" && typeof command.user !== "string") return "'user' must be a string";
  return undefined;
}
