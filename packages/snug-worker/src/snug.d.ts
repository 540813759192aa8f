// Types of snug.js, the Worker as it was compiled from Rust.

import type { Context, Env } from "./env.js";

/** The Worker. */
export default class Snug {
  constructor(context: Context, env: Env);
  fetch(request: Request): Promise<Response>;
  handleTrusted(request: Request, env: Env, context: Context): Promise<Response>;
}

/** A Durable Object. */
declare class SnugObject {
  constructor(state: unknown, env: Env);
}

export class Room extends SnugObject {}
export class Gateway extends SnugObject {}
