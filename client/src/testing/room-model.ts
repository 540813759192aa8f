// A room as PROTOCOL.md describes it: its messages, its members, and the replies to commands.

import { applyChange } from "../change.js";
import { SnugError } from "../error.js";
import type {
  AppendCommand,
  Capability,
  Change,
  Command,
  DeleteCommand,
  EditCommand,
  ErrorCode,
  HistoryCommand,
  JsonObject,
  KickCommand,
  Member,
  Message,
  Position,
  Presence,
  PublishCommand,
  ReactCommand,
  ReactionSummary,
  Reactions,
  RepliesChange,
  Signal,
  SignalCommand,
  SupersededChange,
} from "../protocol.js";
import type { JoinParameters } from "../refusal-probe.js";
import { utf8 } from "../server/bytes.js";

/** A connection's place in the room. */
export interface Place {
  /** Id of the connection. */
  readonly connection: string;
  readonly user: string;
  /** Public profile, if the token has one. */
  info: JsonObject | undefined;
  can: readonly Capability[];
  /** False if it receives no presence. */
  presence: boolean;
  /** False if it receives no message that it has published. */
  echo: boolean;
  state?: JsonObject;
  /** True if it receives numbers instead of messages, and its user is no member because of it. */
  isBadge: boolean;
  /** Sends an object to the client. */
  push(push: object): void;
  /** Ends the place, for the reason that a `closing` has. */
  end(code: number, reason: string): void;
}

/** Author of a message. */
export interface Author {
  user: string;
  connection?: string;
  /** Public profile. */
  info?: JsonObject | undefined;
}

/** The reason why a command is refused. */
export interface Refused {
  error: ErrorCode;
  message: string;
  version?: number;
}

/** A command that changes a message. */
export type ChangeRequest = EditCommand | AppendCommand | DeleteCommand;

type Replied<T> = T | Refused;
type Entry = Message | Change | Reactions | RepliesChange | SupersededChange;
/** A part of a message that changes without regard to the others. */
type Aspect = "content" | "reactions" | "replies";

/** The capability that each command needs. */
const NEEDED: { [type in Command["type"]]?: Capability } = {
  publish: "publish",
  signal: "signal",
  state: "presence",
  members: "presence",
  history: "history",
  react: "react",
  unreact: "react",
  read: "receive",
  kick: "moderate",
};

const LAST_MAX = 100;
/** The most bytes of a message. */
export const MESSAGE_BYTES_MAX = 65_536;
/** The most names of reactions to a message. */
const REACTIONS_MAX = 50;
/** The most reactions of one user to a message. */
const USER_REACTIONS_MAX = 10;
/** The most bytes of a reaction's name. */
const REACTION_BYTES_MAX = 64;
/** The most users of a reaction that a summary lists, and of all reactions to a message. */
const REACTION_USERS_MAX = 20;
const SUMMARY_USERS_MAX = 100;
/** The most users whom a message mentions. */
const MENTIONS_MAX = 32;
/** The most messages that are counted as unread, and among which they are counted. */
const UNREAD_MAX = 100;
const TAIL_MESSAGES_MAX = 200;
/** The longest data that a badge has. */
const BADGE_DATA_BYTES_MAX = 4_096;

/** Capabilities of a back end. */
export const SERVER_CAPABILITIES: readonly Capability[] = ["edit_any", "delete_any"];

/** Returns what was stored. Throws a `SnugError` if it was refused. */
export function storedOf<T extends object>(replied: Replied<T>): T {
  if (!("error" in replied)) return replied;
  const { error, message, version } = replied as Refused;
  throw new SnugError(error, message, false, undefined, undefined, version);
}

/** A room's state and rules. */
export class RoomModel {
  readonly name: string;
  readonly epoch = "0000test";
  /** Offset of the newest message or change. */
  offset = 0;
  /** The stored messages, as they are now, and changes, oldest first. */
  entries: Entry[] = [];
  /** All signals so far, with their recipients. */
  readonly signals: (Omit<Signal, "type"> & { to?: string[] })[] = [];
  readonly places = new Set<Place>();
  /** The places that are badges, with the text of what each has received last. */
  readonly #badges = new Map<Place, string>();
  /** Ends of bans, in Unix ms. */
  readonly #bans = new Map<string, number>();
  /** Times at which members joined, in Unix ms. */
  readonly #since = new Map<string, number>();
  /** Stored messages by user and key. */
  readonly #keys = new Map<string, Message | Change>();
  /** Users with each reaction to a message, by its offset and the name. */
  readonly #reactions = new Map<number, Map<string, Set<string>>>();
  /** Offsets up to which users have read. */
  readonly #reads = new Map<string, number>();
  #lastTime = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** The stored messages, oldest first. */
  get messages(): Message[] {
    return this.entries.filter((entry): entry is Message => !("of" in entry));
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
  join(place: Place, parameters: JoinParameters, extra: object): void {
    if (place.isBadge) this.#joinAsBadge(place, extra);
    else this.#joinAsMember(place, parameters, extra);
  }

  #joinAsBadge(place: Place, extra: object): void {
    this.leave(place);
    const { name: room, epoch, offset } = this;
    const { user, can } = place;
    const state = this.#readState(user);
    place.push({
      type: "welcome",
      room,
      can,
      epoch,
      offset,
      recovered: null,
      ...state,
      count: this.#count,
      ...extra,
    });
    this.#badges.set(place, "");
    this.#updateBadges();
  }

  #joinAsMember(place: Place, { resume, last = 0 }: JoinParameters, extra: object): void {
    this.#badges.delete(place);
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
      ...(canReplay && this.#readState(user)),
      count: this.#count,
      ...(can.includes("presence") && { members: this.#membersFor(place) }),
      ...extra,
    });
    const replayed = recovered
      ? this.entries.filter(({ offset }) => offset > (resume?.offset ?? 0))
      : canReplay && !resume && last > 0
        ? this.entries.slice(-Math.min(last, LAST_MAX))
        : [];
    for (const entry of replayed) place.push({ type: typeOf(entry), ...entry });
    if (isNew) this.#announce({ joins: [this.#member(user)] }, place);
  }

  /** Removes a connection, and announces the leave of its user if it was the last one. */
  leave(place: Place): void {
    this.#badges.delete(place);
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
      const { error: code, ...rest } = reply as Refused;
      place.push({ type: "error", id, code, ...rest, retryable: false });
    } else if (id !== undefined || type === "members" || type === "history") {
      place.push({ type: "ack", id, ...reply });
    }
  }

  /**
   * Stores a message, unless the author has stored one with the same key. Returns it, and sends it after `stored`, or
   * returns the reason why it is refused.
   */
  publish(
    { user, connection, info }: Author,
    { event, key, re, mentions, data }: Pick<PublishCommand, "event" | "key" | "re" | "mentions" | "data">,
    stored: (message: Message, isDuplicate: boolean) => void = () => {},
  ): Replied<Message> {
    const earlier = this.#findKey(user, key);
    if (earlier) {
      stored(earlier as Message, true);
      return earlier as Message;
    }
    const root = re === undefined ? undefined : this.#rootOf(re);
    if (re !== undefined && root === undefined) return NO_MESSAGE;
    // A copy, as a real room has: the application may change its object later.
    const message: Message = copyOf({
      ...this.#nextPlace(),
      user,
      connection,
      info,
      event,
      re: root?.offset,
      mentions: mentions?.length ? [...new Set(mentions)] : undefined,
      data,
    });
    this.entries.push(message);
    this.#remember(user, key, message);
    stored(message, false);
    for (const place of this.#receiversOf(connection)) {
      place.push({ type: "message", ...message, ...(place.user === user && { key }) });
    }
    if (root) this.#countReplies(root, (root.replies ?? 0) + 1, message.offset);
    this.#updateBadges();
    return message;
  }

  /** Changes a message, unless the author has made a change with the same key. Returns the change, or the reason. */
  change(
    { user, connection }: Author,
    can: readonly Capability[],
    command: ChangeRequest,
    stored: (change: Change, isDuplicate: boolean) => void = () => {},
  ): Replied<Change> {
    const { type: action, of, if_version, key } = command;
    const earlier = this.#findKey(user, key);
    if (earlier) {
      stored(earlier as Change, true);
      return earlier as Change;
    }
    const message = this.#find(of);
    if (!message) return NO_MESSAGE;
    const needed = action === "delete" ? "delete" : "edit";
    const isGranted = can.includes(`${needed}_any`) || (message.user === user && can.includes(needed));
    if (!isGranted) return { error: "forbidden", message: `the token does not grant '${needed}_any'` };
    if (message.deleted) return { error: "not_found", message: "the message is deleted" };
    const { version = 1, data } = message;
    if (if_version !== undefined && if_version !== version) {
      return { error: "conflict", message: `the message has the version ${version}`, version };
    }
    if (action === "append" && typeof data !== "string" && typeof textOf(data) !== "string") {
      return { error: "bad_command", message: "text can be appended to a string, or to an object's 'text'" };
    }
    const head = { of, version: version + 1, action, user, connection };
    const content =
      action === "edit"
        ? { data: command.data }
        : action === "append"
          ? { text: command.text }
          : { reason: command.reason };
    const place = { offset: this.offset + 1, time: this.#time() };
    const change: Change = copyOf({ ...place, ...head, ...content });
    const changed = applyChange(message, change);
    if (utf8(JSON.stringify(changed.data ?? "")).length > MESSAGE_BYTES_MAX) {
      return { error: "too_large", message: `a message has at most ${MESSAGE_BYTES_MAX} bytes` };
    }
    this.offset = place.offset;
    this.#replace(changed, ["content", ...(action === "delete" ? (["reactions"] as const) : [])]);
    if (action === "delete") this.#reactions.delete(of);
    // Clients that were away get the whole data.
    const { data: whole } = changed;
    this.entries.push(
      action === "append" ? { ...place, ...copyOf({ ...head, action: "edit", data: whole }) } : change,
    );
    this.#remember(user, key, change);
    stored(change, false);
    for (const receiver of this.#receiversOf(connection)) receiver.push({ type: "change", ...change });
    const root = action === "delete" && message.re !== undefined ? this.#find(message.re) : undefined;
    if (root) this.#countReplies(root, (root.replies ?? 1) - 1, root.last_reply ?? message.offset);
    this.#updateBadges();
    return change;
  }

  /**
   * Puts a reaction on a message, or takes it back. Calls `stored` with the place of the message's reactions, then sends
   * them. Returns the reactions, or the reason why this is refused.
   */
  react(
    user: string,
    { type, of, name }: Pick<ReactCommand, "type" | "of" | "name">,
    stored: (place: { offset: number; time: number }, isDuplicate: boolean) => void = () => {},
  ): Replied<Reactions> {
    const message = this.#find(of);
    if (!message || message.deleted) return NO_MESSAGE;
    const usersByName = this.#reactions.get(of) ?? new Map<string, Set<string>>();
    const users = usersByName.get(name) ?? new Set();
    const isOn = type === "react";
    const summary = copyOf<ReactionSummary>(message.reactions ?? {});
    if (users.has(user) === isOn) {
      const [last] = this.entries.filter((entry) => "summary" in entry && entry.of === of);
      const offset = last?.offset ?? of;
      stored({ offset, time: this.#time() }, true);
      return { offset, of, summary };
    }
    if (isOn) {
      const own = [...usersByName.values()].filter((others) => others.has(user)).length;
      if (own >= USER_REACTIONS_MAX) {
        return {
          error: "too_large",
          message: `a user has at most ${USER_REACTIONS_MAX} reactions to a message`,
        };
      }
      if (!usersByName.has(name) && usersByName.size >= REACTIONS_MAX) {
        return { error: "too_large", message: `a message has at most ${REACTIONS_MAX} different reactions` };
      }
      users.add(user);
      usersByName.set(name, users);
    } else {
      users.delete(user);
      if (users.size === 0) usersByName.delete(name);
    }
    this.#reactions.set(of, usersByName);
    const place = this.#nextPlace();
    const reactions = { offset: place.offset, of, summary: summaryOf(usersByName) };
    this.#replace(applyChange(message, reactions), ["reactions"]);
    this.entries.push(reactions);
    stored(place, false);
    for (const receiver of this.#receiversOf(undefined)) receiver.push({ type: "reactions", ...reactions });
    this.#updateBadges();
    return reactions;
  }

  /** Records how far a user has read, and returns the position that holds; or the reason why this is refused. */
  read(user: string, offset: number): Replied<{ read: number }> {
    if (offset > this.offset)
      return { error: "bad_command", message: "'offset' is above the newest message" };
    const before = this.#reads.get(user) ?? 0;
    if (offset > before) this.#reads.set(user, offset);
    return { read: Math.max(before, offset) };
  }

  /** Sends a user's position to the user's connections, and to those that may see it. */
  #sendRead(user: string): void {
    for (const place of this.places) {
      const receives = place.user === user || place.can.includes("receipts");
      if (receives) place.push({ type: "read", user, offset: this.#reads.get(user) });
    }
    this.#updateBadges();
  }

  /** Sends each badge what has changed for it. A room does so at most once a second. */
  #updateBadges(): void {
    const { offset } = this;
    const last = this.messages.at(-1);
    const { data, ...rest } = last ?? {};
    const isShort = utf8(JSON.stringify(data ?? null)).length <= BADGE_DATA_BYTES_MAX;
    for (const [place, before] of this.#badges) {
      const { unread, mentions } = this.#readState(place.user);
      const badge = copyOf<object>({
        type: "badge",
        offset,
        unread,
        mentions,
        last: last && (isShort ? last : rest),
      });
      const text = JSON.stringify(badge);
      this.#badges.set(place, text);
      if (text !== before) place.push(badge);
    }
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
    const places = [...this.places, ...this.#badges.keys()].filter((place) => place.user === user);
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
    const fault = faultOf(command) ?? (place.isBadge && type === "state" && "a badge has no state");
    if (fault) return { error: "bad_command", message: fault };
    switch (type) {
      case "publish":
      case "react":
      case "unreact": {
        const acknowledge = ({ offset, time }: { offset: number; time: number }, duplicate: boolean) => {
          if (command.id === undefined) return;
          place.push({ type: "ack", id: command.id, offset, time, ...(duplicate && { duplicate }) });
        };
        const stored =
          type === "publish"
            ? this.publish(place, command, acknowledge)
            : this.react(place.user, command, acknowledge);
        return "error" in stored ? stored : undefined;
      }
      case "edit":
      case "append":
      case "delete": {
        const changed = this.change(place, place.can, command, ({ offset, time, version }, duplicate) => {
          const { id } = command;
          if (id === undefined) return;
          place.push({ type: "ack", id, offset, time, ...(duplicate ? { duplicate } : { version }) });
        });
        return "error" in changed ? changed : undefined;
      }
      case "read": {
        const before = this.#reads.get(place.user);
        const replied = this.read(place.user, command.offset);
        // A room sends positions after the reply.
        if (!("error" in replied) && replied.read !== (before ?? 0)) {
          if (command.id !== undefined) place.push({ type: "ack", id: command.id, ...replied });
          this.#sendRead(place.user);
          return undefined;
        }
        return replied;
      }
      case "signal":
        this.signal(place.user, place.connection, command);
        return {};
      case "state":
        this.setState(place, command.data);
        return {};
      case "members":
        return { type, members: this.#membersFor(place), count: this.#count, truncated: false };
      case "history":
        return { type, ...this.#history(command) };
      case "kick":
        return { closed: this.kick(command) };
      default:
        return { error: "unknown_command", message: `no command has the type '${type}'` };
    }
  }

  #history({ after, before, limit = 50, re }: HistoryCommand) {
    const { epoch } = this;
    const entries = re === undefined ? this.entries : this.messages.filter((message) => message.re === re);
    const newer = entries.filter(({ offset }) => offset > (after ?? -1));
    const range = newer.filter(({ offset }) => offset < (before ?? Number.POSITIVE_INFINITY));
    const messages = after === undefined ? range.slice(-limit) : range.slice(0, limit);
    return { epoch, messages, more: range.length > messages.length };
  }

  #find(offset: number): Message | undefined {
    return this.messages.find((message) => message.offset === offset);
  }

  /** Returns the first message of the thread to which a reply to this message belongs, unless one is deleted. */
  #rootOf(re: number): Message | undefined {
    const message = this.#find(re);
    if (!message || message.deleted) return undefined;
    const root = message.re === undefined ? message : this.#find(message.re);
    return root?.deleted ? undefined : root;
  }

  /** Stores and sends a new number of replies to a message. */
  #countReplies(root: Message, replies: number, last_reply: number): void {
    const of = root.offset;
    const change: RepliesChange = { ...this.#nextPlace(), of, action: "replies", replies, last_reply };
    this.#replace(applyChange(root, change), ["replies"]);
    this.entries.push(change);
    for (const receiver of this.#receiversOf(undefined)) receiver.push({ type: "change", ...change });
  }

  /** Replaces a message after a change, and leaves only the places of earlier changes of these aspects. */
  #replace(changed: Message, aspects: readonly Aspect[]): void {
    const { offset: of } = changed;
    this.entries = this.entries.map((entry) => {
      if (!("of" in entry)) return entry.offset === of ? changed : entry;
      return entry.of === of && aspects.includes(aspectOf(entry)) ? { offset: entry.offset, of } : entry;
    });
  }

  #readState(user: string) {
    const read = this.#reads.get(user) ?? 0;
    const newest = this.messages.slice(-TAIL_MESSAGES_MAX).reverse();
    const isUnread = (message: Message) => message.offset > read && message.user !== user && !message.deleted;
    const unread = newest.filter(isUnread).slice(0, UNREAD_MAX);
    const mentions = unread.filter((message) => message.mentions?.includes(user));
    return { read, unread: unread.length, mentions: mentions.length };
  }

  #membersFor({ can }: Place): Member[] {
    if (!can.includes("receipts")) return this.members;
    return this.members.map((member) => {
      const read = this.#reads.get(member.user);
      return { ...member, ...(read && { read }) };
    });
  }

  #time(): number {
    this.#lastTime = Math.max(Date.now(), this.#lastTime);
    return this.#lastTime;
  }

  /** Takes the next offset. */
  #nextPlace() {
    return { offset: ++this.offset, time: this.#time() };
  }

  /** Returns what a user has stored with a key. */
  #findKey(user: string, key: string | undefined): Message | Change | undefined {
    return key === undefined ? undefined : this.#keys.get(JSON.stringify([user, key]));
  }

  #remember(user: string, key: string | undefined, stored: Message | Change): void {
    if (key !== undefined) this.#keys.set(JSON.stringify([user, key]), stored);
  }

  /** Returns the places that receive what a connection, or the back end, has stored. */
  #receiversOf(connection: string | undefined): Place[] {
    return [...this.places].filter((place) => {
      const isSender = connection !== undefined && place.connection === connection;
      return place.can.includes("receive") && (place.echo || !isSender);
    });
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
    const oldest = this.entries[0]?.offset ?? this.offset + 1;
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

/** Returns a copy without undefined fields. */
const copyOf = <T>(value: object): T => JSON.parse(JSON.stringify(value));
const NO_MESSAGE: Refused = { error: "not_found", message: "the room has no such message" };
const aspectOf = (entry: Exclude<Entry, Message>): Aspect => {
  if ("summary" in entry) return "reactions";
  return "action" in entry && entry.action === "replies" ? "replies" : "content";
};
/** Returns the type of the push with which an entry is replayed. */
const typeOf = (entry: Entry) => {
  if (!("of" in entry)) return "message";
  return "summary" in entry ? "reactions" : "change";
};

/** Returns the reactions to a message, with as many users as a room lists. */
function summaryOf(usersByName: ReadonlyMap<string, ReadonlySet<string>>): ReactionSummary {
  let left = SUMMARY_USERS_MAX;
  const tallies = [...usersByName].map(([name, users]) => {
    const listed = [...users].slice(0, Math.min(left, REACTION_USERS_MAX));
    left -= listed.length;
    return [name, { count: users.size, users: listed }] as const;
  });
  return Object.fromEntries(tallies);
}

const textOf = (data: unknown) => (data as { text?: unknown } | null)?.text;

/** Returns the fault of a command. The client makes none, so only the fields that an application fills are checked. */
function faultOf(command: Command): string | undefined {
  const { type } = command;
  if (typeof type !== "string") return "'type' is missing";
  const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  if ((type === "publish" || type === "signal") && command.data === undefined) return "'data' is missing";
  const isOffset = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if ((type === "publish" || type === "history") && command.re !== undefined && !isOffset(command.re))
    return "'re' must be a whole number";
  if (type === "publish" && command.mentions !== undefined) {
    const isUser = (user: unknown) => typeof user === "string" && user !== "";
    const { mentions } = command;
    if (!Array.isArray(mentions) || mentions.length > MENTIONS_MAX || !mentions.every(isUser))
      return `'mentions' must be a list of at most ${MENTIONS_MAX} users`;
  }
  if (type === "read" && !isOffset(command.offset)) return "'offset' must be a whole number";
  const isReaction = type === "react" || type === "unreact";
  const isChange = isReaction || type === "edit" || type === "append" || type === "delete";
  if (isChange && !isOffset(command.of)) return "'of' is missing";
  if (isReaction) {
    const bytes = typeof command.name === "string" ? utf8(command.name).length : 0;
    if (bytes < 1 || bytes > REACTION_BYTES_MAX)
      return `'name' must be a string of 1 to ${REACTION_BYTES_MAX} bytes`;
  }
  if (type === "edit" && command.data === undefined) return "'data' is missing";
  if (type === "append" && typeof command.text !== "string") return "'text' must be a string";
  if (type === "state" && !isObject(command.data)) return "'data' must be an object";
  if (type === "kick" && typeof command.user !== "string") return "'user' must be a string";
  return undefined;
}
