// A Snug server in memory, for an application's own tests.

export type { TestMember } from "./test-member.js";
export type { TestChangeOptions, TestMessage, TestRoom, TestSignal } from "./test-room.js";
export { TestServer, type TestServerOptions } from "./test-server.js";
export type { TestSocket } from "./test-socket.js";
export type { TestTokenOptions } from "./test-token.js";
