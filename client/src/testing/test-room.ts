// A room as a test sees it.

import type { Change, Json, JsonObject, Member, Message, Problem } from "../protocol.js";
import { type ChangeRequest, type RoomModel, SERVER_CAPABILITIES, storedOf } from "./room-model.js";
import { TestMember } from "./test-member.js";

/** A message from your back end. */
export interface TestMessage {
  data: unknown;
  event?: string;
  key?: string;
  /** Author. Default: `server`. */
  user?: string;
  /** Offset of the message to which this one is a reply. */
  re?: number;
}

/** Options of a change by your back end. */
export interface TestChangeOptions {
  /** The user who makes the change. Default: `server`. */
  user?: string;
  ifVersion?: number;
}

/** A signal that was sent to the room. */
export interface TestSignal {
  user: string;
  connection: string;
  event?: string;
  /** Recipients, if not all. */
  to?: string[];
  data: unknown;
}

/** A room of a `TestServer`. */
export class TestRoom {
  readonly #model: RoomModel;
  readonly #newConnection: () => string;
  readonly #refuse: (code: string, detail?: string) => void;

  constructor(
    model: RoomModel,
    newConnection: () => string,
    refuse: (code: string, detail?: string) => void,
  ) {
    this.#model = model;
    this.#newConnection = newConnection;
    this.#refuse = refuse;
  }

  get name(): string {
    return this.#model.name;
  }

  /** The stored messages as they are now, oldest first. */
  get messages(): readonly Message[] {
    return this.#model.messages;
  }

  /** All signals so far, oldest first. */
  get signals(): readonly TestSignal[] {
    return this.#model.signals;
  }

  /** The members, by user id. */
  get members(): readonly Member[] {
    return this.#model.members;
  }

  /** Publishes a message as your back end does, and returns it. */
  publish({ user = "server", data, event, key, re }: TestMessage): Message {
    return storedOf(this.#model.publish({ user }, { data, event, key, re } as never));
  }

  /** Replaces the data of a message as your back end does, and returns the change. */
  edit(offset: number, data: unknown, options: TestChangeOptions = {}): Change {
    return this.#change({ type: "edit", of: offset, data: data as Json }, options);
  }

  /** Appends to the data of a message as your back end does, and returns the change. */
  append(offset: number, text: string, options: TestChangeOptions = {}): Change {
    return this.#change({ type: "append", of: offset, text }, options);
  }

  /** Deletes the data of a message as your back end does, and returns the change. */
  delete(offset: number, { reason, ...options }: TestChangeOptions & { reason?: string } = {}): Change {
    return this.#change({ type: "delete", of: offset, ...(reason !== undefined && { reason }) }, options);
  }

  /** Adds another user, who has no client. */
  join(user: string, { info }: { info?: JsonObject } = {}): TestMember {
    return new TestMember(this.#model, this.#newConnection(), user, info);
  }

  /** Closes a user's connections, and returns their number. */
  kick(user: string, { reason }: { reason?: string } = {}): number {
    return this.#model.kick({ user, ...(reason !== undefined && { reason }) });
  }

  /** Closes a user's connections, and refuses the user for some time. Default: an hour. */
  ban(user: string, { reason, seconds = 3600 }: { reason?: string; seconds?: number } = {}): number {
    return this.#model.kick({ user, ban_seconds: seconds, ...(reason !== undefined && { reason }) });
  }

  /** Lifts a ban. */
  unban(user: string): void {
    this.#model.kick({ user, ban_seconds: 0 });
  }

  /** Refuses the next join with a code of PROTOCOL.md, such as `room_full`. */
  refuseNext(code: Problem["code"], detail?: string): void {
    this.#refuse(code, detail);
  }

  /** Forgets all stored messages, as a room does after some time: a client that has missed some emits `gap`. */
  deleteMessages(): void {
    this.#model.entries.splice(0);
  }

  #change(command: ChangeRequest, { user = "server", ifVersion }: TestChangeOptions): Change {
    const request = { ...command, ...(ifVersion !== undefined && { if_version: ifVersion }) };
    return storedOf(this.#model.change({ user }, SERVER_CAPABILITIES, request));
  }
}
