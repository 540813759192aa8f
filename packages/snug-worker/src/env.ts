// The bindings and settings of the Worker. PROTOCOL.md describes each setting.

/** Runs tasks that outlive a request. The platform passes it to `fetch`. */
export interface Context {
  waitUntil(task: Promise<unknown>): void;
  passThroughOnException(): void;
}

/** The part of a Durable Object namespace that identifies it. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
}

/** A service binding. */
export interface Service {
  fetch(request: Request): Promise<Response>;
}

type Text = string | undefined;
type Numeric = string | number | undefined;
type Flag = string | boolean | undefined;

/** The environment of the Worker. Secrets and variables are optional. */
export interface Env {
  ROOMS: ObjectNamespace;
  GATEWAYS: ObjectNamespace;

  JWT_SECRET?: Text;
  JWT_SECRET_PREVIOUS?: Text;
  JWT_HMAC_ALGORITHM?: Text;
  /** A JWK Set, as an object or as text. */
  JWT_JWKS?: Text | object;
  JWKS_URL?: Text;
  JWT_ISSUER?: Text;
  JWT_AUDIENCE?: Text;
  JWT_LEEWAY_SECONDS?: Numeric;
  AUTH_URL?: Text;
  AUTH?: Service | undefined;
  ALLOWED_ORIGINS?: Text;
  TOKEN_IN_QUERY?: Flag;
  DEV_TOKENS?: Flag;
  MESSAGES_WITHOUT_INFO?: Flag;
  MESSAGE_BYTES_MAX?: Numeric;
  MESSAGES_PER_SECOND?: Numeric;
  MESSAGES_BURST?: Numeric;
  SERVE_PER_SECOND?: Numeric;
  SERVE_BURST?: Numeric;
  CONNECTIONS_MAX?: Numeric;
  GATEWAY_CONNECTIONS_MAX?: Numeric;
  CONNECTIONS_PER_USER_MAX?: Numeric;
  PRESENCE_GRACE_MS?: Numeric;
  PING_MS?: Numeric;
  IDLE_TIMEOUT_MS?: Numeric;
  HISTORY_MESSAGES_MAX?: Numeric;
  HISTORY_SECONDS_MAX?: Numeric;
  HISTORY_BYTES_MAX?: Numeric;
  WEBHOOK_URL?: Text;
  WEBHOOK?: Service | undefined;
  WEBHOOK_SECRET?: Text;
  WEBHOOK_SECRET_PREVIOUS?: Text;
  WEBHOOK_EVENTS?: Text;
  PUBLISH_URL?: Text;
  PUBLISH?: Service | undefined;
  PUBLISH_FALLBACK?: Text;
  JURISDICTION?: Text;
  LOCATION_HINT?: Text;
}
