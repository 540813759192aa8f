// A user's place in one room: its state from joining to leaving, and the user's actions.

import {
  applyChange,
  type Capability,
  type Change,
  type Changed,
  type JsonObject,
  type Member,
  type Members,
  type Message,
  type Room,
  SnugError,
  type StatusChange,
} from "snug-client";
import { requestAdmission } from "../common/admission";
import { Conversation, type ConversationState, toSendFailure } from "./conversation";
import { mentionsIn } from "./mentions";
import { canEdit } from "./message-actions";
import { messageText } from "./message-text";
import { Observable } from "./observable";
import type { ReactionToggle, ReactionToggles } from "./reactions";
import { savedReadOffset } from "./scroll-anchor";
import {
  type Identity,
  loadDraft,
  loadThread,
  placeOf,
  type Removal,
  saveDraft,
  saveKick,
  saveThread,
  tokenProvider,
} from "./tab-state";
import {
  type AnyChange,
  emptyTimeline,
  isEditing,
  type MessageChange,
  type SendFailure,
  type StoredMessage,
} from "./timeline";

export interface RoomState extends ConversationState {
  status: StatusChange;
  /** A moderator's removal of the user, if the session ended by one. */
  removal: Removal | undefined;
  /** The current user's id, once connected. */
  user: string | undefined;
  can: ReadonlySet<Capability>;
  members: Members;
  count: number;
  isTruncated: boolean;
  /** Display names by user id, including users who have left. */
  names: ReadonlyMap<string, string>;
  /** The user's changes of messages that are not stored yet, by offset. */
  changes: ReadonlyMap<number, MessageChange>;
  /** The reactions that the user has toggled on this page, by offset. */
  toggles: ReadonlyMap<number, ReactionToggles>;
  /** The thread that is open beside the room. */
  thread: Conversation | undefined;
  /** True if a reply in a thread is not stored yet. */
  hasUnsentReply: boolean;
  /** True if messages were missed that the client cannot replay. */
  hasGap: boolean;
  /** Ids of the other users who are typing. */
  typing: ReadonlySet<string>;
  /** Number of messages by others that the user has not seen, and of those that mention the user. */
  unread: number;
  mentions: number;
  /** Offset of the last message that the user saw before being away, if there are newer ones by others. */
  newSince: number | undefined;
}

const INITIAL: RoomState = {
  status: { status: "connecting" },
  removal: undefined,
  user: undefined,
  can: new Set(),
  members: new Map(),
  count: 0,
  isTruncated: false,
  names: new Map(),
  timeline: emptyTimeline,
  changes: new Map(),
  toggles: new Map(),
  historyStatus: "loading",
  thread: undefined,
  hasUnsentReply: false,
  hasGap: false,
  typing: new Set(),
  unread: 0,
  mentions: 0,
  newSince: undefined,
};

type OwnAction = Pick<Change & { action: "edit" }, "action" | "data"> | { action: "delete" };

/** Time for which leaving waits for messages and changes in flight. */
const LEAVE_TIMEOUT_MS = 5_000;
/** Time after an input without a connection in which connecting signals that the user is typing. */
const TYPED_OFFLINE_MS = 3_000;
let sessions = 0;

export class RoomSession extends Observable<RoomState> {
  /** Unique in the page. */
  readonly id = sessions++;
  /** All messages of the room, replies included. */
  readonly messages: Conversation;
  readonly #room: Room;
  /** The open thread, and those with replies that are not stored, by the offset of their first message. */
  readonly #threads = new Map<number, Conversation>();
  /** Users active since connecting. The room does not announce a return within the grace period. */
  readonly #activeUsers = new Set<string>();
  #incoming: Message[] = [];
  /** Time at which the user last typed without being connected, to be signalled on connecting. */
  #typedOfflineAt = 0;
  /** Messages and changes in flight. They resolve on success and on failure. */
  readonly #inFlight = new Set<Promise<void>>();

  #focusRequest: number | undefined;

  readonly #identity: Identity;
  /** True from the first time that the room is shown. Until then, messages are only counted. */
  #isOpen = false;
  #isSeen = false;
  /** True on the user's first visit, until the room is joined. What was written before is not new. */
  #isNew: boolean;
  /** False from connecting until the client has the numbers of what is new. */
  #hasJoined = false;
  #wasConnected = false;
  /** After a reconnection: the last message read before it, and when it was. Messages in between are new. */
  #disconnection: { since: number; until: number } | undefined;

  constructor(room: Room, identity: Identity, isNew: boolean) {
    super(INITIAL);
    this.#room = room;
    this.messages = new Conversation(room, (publishing) => this.#track(publishing));
    this.messages.watch(() => this.update(this.messages.state));
    this.#identity = identity;
    this.#isNew = isNew;
    room.on("status", (status) => this.#onStatus(status));
    room.on("members", (members) => this.#onMembers(members));
    room.on("message", (message) => this.#onMessage(message));
    room.on("change", (change) => this.#onChange(change));
    room.on("reactions", (reactions) => this.#onAnyChange(reactions));
    room.on("replies", (replies) => this.#onAnyChange(replies));
    room.on("typing", (typing) => this.update({ typing }));
    room.on("signal", ({ user }) => this.#markActive(user));
    room.on("unread", () => this.#onUnread());
    room.on("gap", () => {
      if (!this.#isOpen) return;
      this.#incoming = [];
      this.update({ hasGap: true });
      for (const conversation of this.#conversations) conversation.restart();
    });
  }

  /** Loads the messages around the position at which the user was reading before a reload. */
  load(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.messages.load(savedReadOffset(this.#room.name));
    const thread = loadThread(this.#room.name);
    if (thread !== undefined) this.openThread(thread);
  }

  /** Opens the thread of a message beside the room, instead of another one. */
  openThread(root: number): void {
    if (this.state.thread?.root === root) return;
    this.closeThread();
    saveThread(this.#room.name, root);
    const kept = this.#threads.get(root);
    const thread = kept ?? new Conversation(this.#room, (publishing) => this.#track(publishing), root);
    this.#threads.set(root, thread);
    this.update({ thread });
    if (kept) return;
    thread.watch(() => this.#onThreadChanged(thread));
    thread.load(savedReadOffset(placeOf(this.#room.name, root)));
  }

  closeThread(): void {
    const { thread } = this.state;
    if (!thread) return;
    saveThread(this.#room.name, undefined);
    this.update({ thread: undefined });
    this.#onThreadChanged(thread);
  }

  /** Records that the user sees the newest messages now, or does not any more. */
  setSeen(isSeen: boolean): void {
    const isReturning = isSeen && !this.#isSeen;
    this.#isSeen = isSeen;
    if (isReturning && this.#hasJoined) this.#markNew();
    this.#onUnread();
  }

  /** Publishes a text in the room or in a thread. */
  send(text: string, conversation: Conversation): void {
    this.#typedOfflineAt = 0;
    this.update({ newSince: undefined });
    conversation.send(text, mentionsIn(text, this.state.names, this.state.user));
  }

  /** Begins to edit a message where it is shown. Closes the editors in which the user has changed nothing. */
  startEditing(message: StoredMessage, { root }: Conversation, isFromField = false): void {
    const { offset, version = 1, data } = message;
    const before = this.#changeOf(offset);
    if (before && !isEditing(before)) return;
    for (const { offset: other, data: otherData } of this.#shown) {
      const change = this.#changeOf(other);
      if (other !== offset && isEditing(change) && change.text === messageText(otherData))
        this.discardChange(other);
    }
    const text = messageText(data) ?? "";
    this.#focusRequest = offset;
    const edit = before ?? { kind: "edit", text, version, isFromField, isSaving: false };
    this.#setChange(offset, { ...edit, root });
  }

  /** Begins to edit the user's newest message. Returns false if there is none that can be edited. */
  startEditingNewest(conversation: Conversation): boolean {
    const { user, can, status } = this.state;
    const context = { user, can, isEnded: status.status === "disconnected" };
    const newest = conversation.state.timeline.stored.findLast((one) => one.user === user && !one.deleted);
    if (!newest || !canEdit(newest, context)) return false;
    this.startEditing(newest, conversation, true);
    return true;
  }

  /** The offset of the message whose editor is to be focused: the user has begun to edit it, or saving has failed. */
  get focusRequest(): number | undefined {
    return this.#focusRequest;
  }

  /** Returns true, once, if the editor of this message is to be focused. */
  takeFocusRequest(offset: number): boolean {
    const isRequested = this.#focusRequest === offset;
    if (isRequested) this.#focusRequest = undefined;
    return isRequested;
  }

  /** Records what the user has written in the editor of a message. */
  changeEdit(offset: number, text: string): void {
    const edit = this.#changeOf(offset);
    if (isEditing(edit)) this.#setChange(offset, { ...edit, text });
  }

  /** Saves an edit, unless it changes nothing. */
  saveEdit(offset: number): void {
    const edit = this.#changeOf(offset);
    const message = this.#shown.find((one) => one.offset === offset);
    if (!isEditing(edit) || !message) return;
    const text = edit.text.trim();
    if (text === messageText(message.data)) {
      this.discardChange(offset);
      return;
    }
    // Other fields of the data stay.
    const data = typeof message.data === "string" ? text : { ...(message.data as JsonObject), text };
    this.#setChange(offset, { ...edit, text, isSaving: true, failure: undefined });
    const saving = this.#room.edit(offset, data, { ifVersion: edit.version }).then(
      (changed) => this.#onChanged(offset, changed, { action: "edit", data }),
      (error) => {
        const version = (error instanceof SnugError && error.version) || edit.version;
        this.#focusRequest = offset;
        this.#setChange(offset, { ...edit, text, version, failure: toSendFailure(error) });
      },
    );
    this.#track(saving);
  }

  /** Deletes a message. It is shown as before until the room has deleted it. */
  deleteMessage(offset: number): void {
    this.#setChange(offset, { kind: "delete" });
    const deleting = this.#room.delete(offset).then(
      (changed) => this.#onChanged(offset, changed, { action: "delete" }),
      (error) => {
        const failure = toSendFailure(error);
        // Another user may have deleted it.
        this.#setChange(offset, failure.code === "not_found" ? undefined : { kind: "delete", failure });
      },
    );
    this.#track(deleting);
  }

  /** Puts a reaction on a message, or takes it back. Returns the reason if that fails. */
  async react(offset: number, name: string, isOn: boolean): Promise<SendFailure | undefined> {
    const before = this.state.toggles.get(offset)?.get(name);
    const toggle = { isOn, isPending: true };
    this.#setToggle(offset, name, toggle);
    const reacting = isOn ? this.#room.react(offset, name) : this.#room.unreact(offset, name);
    this.#track(reacting.catch(() => {}));
    let failure: SendFailure | undefined;
    try {
      await reacting;
    } catch (error) {
      failure = toSendFailure(error);
    }
    // The user may have toggled it again.
    if (this.state.toggles.get(offset)?.get(name) === toggle)
      this.#setToggle(
        offset,
        name,
        failure ? before && { ...before, isPending: false } : { isOn, isPending: false },
      );
    return failure;
  }

  /** Forgets a change that is not saved, or has failed. */
  discardChange(offset: number): void {
    this.#setChange(offset, undefined);
  }

  /** Signals to the others that the user is typing, or has stopped. */
  setTyping(isTyping: boolean): void {
    this.#typedOfflineAt = isTyping && !this.#isConnected ? Date.now() : 0;
    if (isTyping) this.#room.startTyping();
    else this.#room.stopTyping();
  }

  /** Hides the notice about missed messages. */
  dismissGap(): void {
    this.update({ hasGap: false });
  }

  reconnectNow(): void {
    this.#room.reconnect();
  }

  /** Leaves the room, after waiting briefly for what is in flight. */
  async leave(): Promise<void> {
    const timeout = new Promise((resolve) => setTimeout(resolve, LEAVE_TIMEOUT_MS));
    await Promise.race([Promise.all(this.#inFlight), timeout]);
    this.#savePendingAsDraft();
    this.#room.leave();
  }

  #onStatus(status: StatusChange): void {
    const { user, can } = this.#room;
    const { code, message } = status.error ?? {};
    if (status.status === "connecting" && code === "token_expired" && this.#identity.by === "token") {
      // The client would ask for another token for ever, and get the same one.
      this.#room.leave();
      this.update({ status: { ...status, status: "disconnected" } });
      return;
    }
    if (status.status === "connected") this.#activeUsers.clear();
    const wasConnected = this.#isConnected;
    this.update({ status, user, can });
    this.#hasJoined = false;
    // The client has the numbers after this event.
    if (status.status === "connected") queueMicrotask(() => this.#onJoined());
    if (status.status === "connected" && Date.now() - this.#typedOfflineAt < TYPED_OFFLINE_MS)
      this.setTyping(true);
    if (status.status === "disconnected" && (code === "kicked" || code === "banned")) {
      // The message of a refused join is not a moderator's.
      this.#onRemoved(code, wasConnected && message !== code ? message : undefined);
    }
  }

  async #onRemoved(code: Removal["code"], reason: string | undefined): Promise<void> {
    const removal = { code, reason };
    this.update({ removal });
    if (code === "kicked") return saveKick(this.#room.name, removal);
    // The close code does not say how long the ban lasts, but the refusal of another join does.
    const token = await tokenProvider(this.#identity)?.();
    const { code: refusal, retryAfterMs } = await requestAdmission(this.#room.name, token);
    if (refusal !== "banned" || retryAfterMs === undefined) return;
    this.update({ removal: { ...removal, until: Date.now() + retryAfterMs } });
  }

  #onMembers(known: Members): void {
    const { count, isTruncated } = this.#room;
    const names = new Map(this.state.names);
    const members = new Map(known);
    for (const member of known.values()) {
      names.set(member.user, nameOf(member));
      if (this.#activeUsers.has(member.user)) members.set(member.user, { ...member, connections: 1 });
    }
    this.update({ members, count, isTruncated, names });
  }

  /** Marks a user within the grace period as active again. */
  #markActive(user: string): void {
    if (this.state.members.get(user)?.connections !== 0) return;
    this.#activeUsers.add(user);
    this.#onMembers(this.#room.members);
  }

  /** Adds all messages of a frame at once, after the acks in the same frame. */
  #onMessage(message: Message): void {
    if (this.#incoming.push(message) > 1) return;
    setTimeout(() => {
      const messages = this.#incoming;
      this.#incoming = [];
      for (const { user } of messages) this.#markActive(user);
      if (messages.length === 0) return;
      if (this.#isOpen) for (const conversation of this.#conversations) conversation.add(messages);
      this.#markMissed(messages);
      this.#onUnread();
      if (!this.#isSeen) this.messages.trimOldMessages();
    });
  }

  #onChange(change: Change): void {
    this.#onAnyChange(change);
    const edit = this.#changeOf(change.of);
    if (change.action === "delete" && isEditing(edit))
      this.#setChange(change.of, { ...edit, failure: { code: "not_found", message: "" } });
  }

  #onAnyChange(change: AnyChange): void {
    this.#incoming = this.#incoming.map((message) => applyChange(message, change));
    this.#applyChange(change);
    this.#onUnread();
  }

  /** Shows a change of the user's own that is stored. Users without `receive` do not receive it. */
  #onChanged(of: number, { offset, time, version }: Changed, action: OwnAction): void {
    this.#setChange(of, undefined);
    const { user = "" } = this.#room;
    if (version !== undefined) this.#applyChange({ offset, time, user, of, version, ...action });
  }

  get #conversations(): Conversation[] {
    return [this.messages, ...this.#threads.values()];
  }

  /** The messages of the room and of the open thread. */
  get #shown(): StoredMessage[] {
    return this.#conversations.flatMap(({ state }) => state.timeline.stored);
  }

  #onThreadChanged(thread: Conversation): void {
    const { root = 0 } = thread;
    // A closed thread is kept until its replies are stored.
    if (thread !== this.state.thread && !hasUnsent(thread)) this.#threads.delete(root);
    const hasUnsentReply = [...this.#threads.values()].some(hasUnsent);
    if (hasUnsentReply !== this.state.hasUnsentReply) this.update({ hasUnsentReply });
  }

  #changeOf(offset: number): MessageChange | undefined {
    return this.state.changes.get(offset);
  }

  #applyChange(change: AnyChange): void {
    if (this.#isOpen) for (const conversation of this.#conversations) conversation.apply(change);
  }

  #setChange(offset: number, change: MessageChange | undefined): void {
    const changes = new Map(this.state.changes);
    if (change) changes.set(offset, change);
    else changes.delete(offset);
    this.update({ changes });
  }

  #setToggle(offset: number, name: string, toggle: ReactionToggle | undefined): void {
    const ofMessage = new Map(this.state.toggles.get(offset));
    if (toggle) ofMessage.set(name, toggle);
    else ofMessage.delete(name);
    this.update({ toggles: new Map(this.state.toggles).set(offset, ofMessage) });
  }

  /** Lets leaving wait for a command in flight. */
  #track(command: Promise<void>): void {
    this.#inFlight.add(command);
    command.finally(() => this.#inFlight.delete(command));
  }

  get #isConnected(): boolean {
    return this.state.status.status === "connected";
  }

  #onJoined(): void {
    if (!this.#isConnected) return;
    const { read, unread } = this.#room;
    if (this.#isNew && read === 0) this.#room.markRead();
    else if (this.#isSeen && unread) this.#markNew();
    // What was missed may still have to arrive.
    if (this.#wasConnected && this.#isSeen && read !== undefined)
      this.#disconnection = { since: read, until: Date.now() };
    this.#isNew = false;
    this.#hasJoined = this.#wasConnected = true;
    this.#onUnread();
  }

  /** Marks what has arrived while the user was away. */
  #markNew(): void {
    const { read, unread = 0 } = this.#room;
    this.update({ newSince: unread > 0 ? read : undefined });
  }

  /** Marks the messages that were missed while the connection was lost as new. */
  #markMissed(messages: readonly Message[]): void {
    if (!this.#disconnection) return;
    const { since, until } = this.#disconnection;
    const isMissed = ({ user, time }: Message) => user !== this.#room.user && time <= until;
    if (this.#isSeen && messages.some(isMissed)) this.update({ newSince: since });
    // The missed messages come first.
    if (messages.some(({ time }) => time > until)) this.#disconnection = undefined;
  }

  #onUnread(): void {
    const isRead = this.#isSeen || this.#isNew;
    if (this.#isSeen && this.#hasJoined && this.#room.read !== undefined) this.#room.markRead();
    const { unread = 0, mentions = 0 } = this.#room;
    const next = isRead ? { unread: 0, mentions: 0 } : { unread, mentions };
    if (next.unread !== this.state.unread || next.mentions !== this.state.mentions) this.update(next);
  }

  /** Adds pending messages to the draft when leaving. */
  #savePendingAsDraft(): void {
    for (const { root, state } of this.#conversations) {
      const { pending } = state.timeline;
      const place = placeOf(this.#room.name, root);
      const texts = [...pending.map(({ text }) => text), loadDraft(place)];
      if (pending.length > 0) saveDraft(place, texts.join("\n").trim());
    }
  }
}

const hasUnsent = ({ state }: Conversation) => state.timeline.pending.length > 0;

/** Returns a member's display name: the profile's name, or the user id. */
function nameOf({ user, info }: Member): string {
  return typeof info.name === "string" && info.name.trim() ? info.name.slice(0, 128) : user;
}
