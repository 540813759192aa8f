// The former names of join-request.ts, for specs that still import them.

export { type JoinRequest as Visit, newRoom, requestOf } from "./join-request.js";
