// Snug as a library of a Worker.

import type { Context, Env } from "./env.js";
import { type Hooks, type Installed, install, withHooks } from "./hooks.js";
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
 * A Worker has one set of hooks. If this is called again with hooks, what it returned before throws when it is used.
 */
export function createWorker<E extends Env = Env>(hooks: Hooks<E> = {}): SnugWorker<E> {
  return snugWith(install(hooks));
}

function snugWith<E extends Env>(own?: Installed): SnugWorker<E> {
  return {
    // A new object for each request, as the platform creates one.
    fetch: async (request, env, context) => new Worker(context, withHooks(env, own)).fetch(request),
    Room: class Room extends BuiltRoom {
      constructor(state: unknown, env: E) {
        super(state, withHooks(env, own));
      }
    },
    Gateway: class Gateway extends BuiltGateway {
      constructor(state: unknown, env: E) {
        super(state, withHooks(env, own));
      }
    },
  };
}

const snug = snugWith();

/** The Durable Object class of rooms. */
export const Room = snug.Room;
/** The Durable Object class of gateways. */
export const Gateway = snug.Gateway;

export default snug;
