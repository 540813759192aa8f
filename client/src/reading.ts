// How far the user has read, and how much is new.

import type { Change, Message, Welcome } from "./protocol.js";

/** The position up to which the user has read in a room, and the numbers of what is new. */
export interface Unread {
  /** Offset of the last message or change that the user has read. */
  read: number | undefined;
  /** Number of later messages of others, at most 100. */
  unread: number | undefined;
  /** Number of those that mention the user. */
  mentions: number | undefined;
}

/** A received message of another user. */
type Received = readonly [offset: number, isMention: boolean | undefined];

/** Minimum time between two commands `read`, in ms. */
export const READ_INTERVAL_MS = 2000;
/** The most messages that are counted. */
const UNREAD_MAX = 100;
/** The most received messages to remember. More than are counted, because some may be deleted. */
const RECEIVED_MAX = 200;

/** Tracks the position up to which the user has read, and counts later messages. */
export class Reading {
  /** Offset up to which the user has read, also if the room does not have it yet. */
  read = 0;
  /** The position that the room has. */
  confirmed = 0;
  /** The latest welcome without recovery. Its counts are those of messages that were not received. */
  #welcome: Partial<Welcome> = {};
  /** Offset after which everything was received. A replay may begin before the welcome's offset. */
  #receivedFrom = 0;
  /** Received messages above the confirmed position, oldest first. */
  #received: Received[] = [];

  onWelcome(welcome: Welcome): void {
    if (!welcome.recovered) {
      // In a room that was erased, the user has read nothing.
      if (welcome.epoch !== this.#welcome.epoch) this.read = this.confirmed = 0;
      this.#welcome = { ...welcome };
      this.#receivedFrom = welcome.offset;
      this.#received = [];
    }
    this.confirm(welcome.read ?? 0);
  }

  /** Handles a message or change that was received. */
  onReceived(message: Message | Change): void {
    const { offset } = message;
    const welcome = this.#welcome as Required<Welcome>;
    this.#receivedFrom = Math.min(this.#receivedFrom, offset - 1);
    if ("of" in message) {
      if (message.action === "delete")
        this.#received = this.#received.filter(([offset]) => offset !== message.of);
    } else if (message.user !== welcome.user && !message.deleted && offset > this.confirmed) {
      const isMention = message.mentions?.includes(welcome.user);
      this.#received = [...this.#received, [offset, isMention] as const].slice(-RECEIVED_MAX);
      // The welcome has counted what it replays.
      if (offset > welcome.offset) return;
      welcome.unread--;
      if (isMention) welcome.mentions--;
    }
  }

  /** Handles the position that the room has. */
  confirm(offset: number): void {
    this.confirmed = Math.max(this.confirmed, offset);
    this.read = Math.max(this.read, offset);
    this.#received = this.#received.filter(([one]) => one > offset);
  }

  get counts(): Partial<Unread> {
    const { read } = this;
    const { unread, mentions = 0 } = this.#welcome;
    if (unread === undefined) return {};
    const later = this.#received.filter(([offset]) => offset > read);
    // Of the messages that were not received, all count until all are read.
    const count = (others: number, received: Received[]) =>
      Math.min(UNREAD_MAX, received.length + (read < this.#receivedFrom ? others : 0));
    const mentioning = later.filter(([, isMention]) => isMention);
    return { read, unread: count(unread, later), mentions: count(mentions, mentioning) };
  }
}
