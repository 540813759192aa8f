// Hooks as functions: each stands in for a service binding, in the process of the Worker itself.

import type { Decision, ProposedMessage, RoomEvent, TokenOptions } from "snug-client/server";
import type { Env, Service } from "./env.js";

/** A request to join a room, or to open a connection with many rooms, without a token. */
export interface AuthRequest {
  /** The room; `undefined` for a connection with many rooms. */
  room: string | undefined;
  /** The caller's address, if it is known. */
  ip: string | undefined;
  /** Has the caller's `cookie` and `origin`. */
  headers: Headers;
}

/** The user of a request, and what the user may do. */
export type User = Pick<TokenOptions, "user" | "rooms" | "info" | "limits" | "expiresIn">;

/** Functions that Snug calls. They follow the rules of `AUTH_URL`, `PUBLISH_URL` and `WEBHOOK_URL` in PROTOCOL.md. */
export interface Hooks<E extends Env = Env> {
  /** Identifies a user without a token, for example by a session cookie. `undefined` if the user is not signed in. */
  auth?(request: AuthRequest, env: E): User | undefined | Promise<User | undefined>;
  /** Decides about messages of members before they are stored. Returns a decision for each, in order. */
  publish?(request: PublishRequest, env: E): readonly Decision[] | Promise<readonly Decision[]>;
  /** Receives events of a room, in order and at least once. If it throws, they are delivered again later. */
  webhook?(delivery: EventDelivery, env: E): void | Promise<void>;
}

/** Messages to decide about. */
export interface PublishRequest {
  room: string;
  messages: readonly ProposedMessage[];
}

/** Events of a room. */
export interface EventDelivery {
  /** The same if the delivery is repeated. */
  id: string;
  room: string;
  events: readonly RoomEvent[];
}

/** Lifetime of what `auth` returns, unless it says another. */
const SECONDS = 3_600;

/** The hooks of one call of `createWorker`. */
export interface Installed {
  readonly hooks: Hooks<never>;
  /** The environments with a service for each hook. Snug reads the settings of an environment once. */
  readonly environments: WeakMap<Env, Env>;
}

/**
 * The hooks of this Worker. A bundle may contain this package twice, for example if a dependency wants another version;
 * then all copies call the same hooks.
 */
const INSTALLED = Symbol.for("snug-worker.hooks");
const shared = globalThis as { [INSTALLED]?: Installed };

/** Sets the hooks of this Worker, in place of those before. Returns `undefined` if there are none in `hooks`. */
export function install<E extends Env>(hooks: Hooks<E>): Installed | undefined {
  if (!hooks.auth && !hooks.publish && !hooks.webhook) return undefined;
  // When a Worker is edited while Vite runs, it is evaluated again, and its hooks replace the former ones.
  shared[INSTALLED] = { hooks, environments: new WeakMap() };
  return shared[INSTALLED];
}

/**
 * Returns the environment with a service for each hook, or as it is if there are none.
 *
 * Throws if `own`, the hooks of the caller, were replaced, or if the environment has a binding for the same purpose.
 */
export function withHooks<E extends Env>(env: E, own?: Installed): E {
  const installed = shared[INSTALLED];
  if (own && own !== installed)
    throw new TypeError(
      "snug-worker: createWorker was called again with other hooks, and a Worker has one set of them: use what the last call returned",
    );
  if (!installed) return env;
  let environment = installed.environments.get(env);
  if (!environment) {
    environment = { ...env, ...servicesOf(installed.hooks as Hooks<E>, env) };
    installed.environments.set(env, environment);
  }
  return environment as E;
}

/** Returns a service for each hook. */
function servicesOf<E extends Env>({ auth, publish, webhook }: Hooks<E>, env: E) {
  const services: Partial<Record<"AUTH" | "PUBLISH" | "WEBHOOK", Service>> = {};
  if (auth) {
    services.AUTH = service("auth", async (request) => {
      const { room, ip }: { room: string | null; ip: string | null } = await request.json();
      const { headers } = request;
      const user = await auth({ room: room ?? undefined, ip: ip ?? undefined, headers }, env);
      return user ? Response.json(claimsOf(user)) : new Response(null, { status: 401 });
    });
  }
  if (publish) {
    services.PUBLISH = service("publish", async (request) => {
      const { data }: { data: PublishRequest } = await request.json();
      return Response.json({ decisions: await publish(data, env) });
    });
  }
  if (webhook) {
    services.WEBHOOK = service("webhook", async (request) => {
      const { data }: { data: Omit<EventDelivery, "id"> } = await request.json();
      await webhook({ id: request.headers.get("webhook-id") ?? "", ...data }, env);
      return new Response(null, { status: 204 });
    });
  }
  for (const name of Object.keys(services) as (keyof typeof services)[]) {
    if (env[name] !== undefined)
      throw new TypeError(
        `snug-worker: there is a hook '${name.toLowerCase()}' and a binding ${name}: keep one`,
      );
  }
  return services;
}

/** Returns a service that answers by a function, and gives up when Snug does. */
function service(name: string, answer: (request: Request) => Promise<Response>): Service {
  return {
    async fetch(input: Request | string, init?: RequestInit) {
      const signal = init?.signal;
      const aborted = new Promise<never>((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      try {
        return await Promise.race([answer(new Request(input, init)), aborted]);
      } catch (error) {
        // Snug says only that there was no answer.
        console.error(`snug-worker: the hook '${name}' failed:`, error);
        throw error;
      }
    },
  };
}

/** Returns the claims that Snug expects from an application. */
function claimsOf({ user, rooms, info, limits, expiresIn = SECONDS }: User): object {
  return {
    sub: user,
    exp: Math.floor(Date.now() / 1000) + expiresIn,
    rooms,
    info,
    limits: limits && {
      messages_per_second: limits.messagesPerSecond,
      message_bytes: limits.messageBytes,
    },
  };
}
