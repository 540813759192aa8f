// Snug as a library of a Worker.

import type { Context, Env } from "./env.js";
import { type Hooks, install, withHooks } from "./hooks.js";
import Worker, { Gateway as BuiltGateway, Room as BuiltRoom } from "./snug.js";

export type { Context, Env, ObjectNamespace, Service } from "./env.js";
export type { AuthRequest, EventDelivery, Hooks, PublishRequest, User } from "./hooks.js";
export { type RoomApi, type Rooms, rooms, type UserToken } from "./rooms.js";

/** Snug with the hooks of an application. */
export interface SnugWorker<E extends Env = Env> {
  /** Handles a request as Snug does. Call it from a Worker that has other routes, too. */
  fetch(request: Request, env: E, context: Context): Promise<Response>;
  /** The Durable Object class of rooms: export it under this name. */
  Room: typeof BuiltRoom;
  /** The Durable Object class of gateways: export it under this name. */
  Gateway: typeof BuiltGateway;
}

/**
 * Returns Snug with hooks: functions of the application that identify users, decide about messages and receive events.
 * The Worker must export the classes that it returns, in place of those of this package. Throws if it was called with
 * hooks before.
 */
export function createWorker<E extends Env = Env>(hooks: Hooks<E> = {}): SnugWorker<E> {
  install(hooks);
  return {
    // A new object for each request, as the platform creates one.
    fetch: async (request, env, context) => new Worker(context, withHooks(env)).fetch(request),
    Room: class Room extends BuiltRoom {
      constructor(state: unknown, env: Env) {
        super(state, withHooks(env));
      }
    },
    Gateway: class Gateway extends BuiltGateway {
      constructor(state: unknown, env: Env) {
        super(state, withHooks(env));
      }
    },
  };
}

const snug = createWorker();

/** The Durable Object class of rooms. */
export const Room = BuiltRoom;
/** The Durable Object class of gateways. */
export const Gateway = BuiltGateway;

export default snug;
