// What the Worker sends, as PROTOCOL.md has it.

export interface Member {
  user: string;
  info: Record<string, unknown>;
  since: number;
  connections: number;
  state: Record<string, unknown>;
}

export interface Welcome {
  type: "welcome";
  protocol: "snug.v1";
  room: string;
  connection: string;
  user: string;
  can: string[];
  epoch: string;
  offset: number;
  recovered: boolean | null;
  count: number;
  members?: Member[];
  truncated?: true;
  expires: number;
  ping_ms: number;
  limits: { message_bytes: number; messages_per_second: number };
}

export interface Message {
  type: "message";
  offset: number;
  time: number;
  user: string;
  connection?: string;
  event?: string;
  data: unknown;
}

export interface Signal {
  type: "signal";
  user: string;
  connection: string;
  event?: string;
  data: unknown;
}

export interface Presence {
  type: "presence";
  joins: Member[];
  leaves: string[];
  updates: { user: string; connection: string; state: Record<string, unknown> | null }[];
  count: number;
  /** Where there are more members than are listed, and only their number is told. */
  truncated?: true;
}

export interface Refused {
  type: "error";
  id?: string | number;
  code: string;
  message: string;
  retryable: boolean;
  retry_after_ms?: number;
}

export interface Closing {
  type: "closing";
  code: number;
  reason: string;
  reconnect: boolean;
}

export interface Ack {
  type: "ack";
  id: string | number;
  /** Of what was stored. */
  offset?: number;
  time?: number;
  /** Whether it was stored before, under the same key. */
  duplicate?: true;
  /** When the new token ends. */
  expires?: number;
  /** How many connections a kick has closed. */
  closed?: number;
}

export interface Members {
  type: "members";
  id?: string | number;
  members: Member[];
  count: number;
  truncated: boolean;
}

export interface History {
  type: "history";
  id?: string | number;
  epoch: string;
  messages: Omit<Message, "type">[];
  more: boolean;
}

export interface Pong {
  type: "pong";
  id?: string | number;
}

/** Anything that the Worker sends. */
export type Push = Welcome | Message | Signal | Presence | Refused | Closing | Ack | Members | History | Pong;

/** What has this `type`. */
export type PushOf<T extends Push["type"]> = Extract<Push, { type: T }>;

/** The reply to each command, where it is not an error. */
export interface Replies {
  publish: Ack & { offset: number; time: number };
  signal: Ack;
  state: Ack;
  members: Members;
  history: History;
  kick: Ack & { closed: number };
  refresh: Ack & { expires: number };
  ping: Pong;
}
