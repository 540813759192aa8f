// The Worker: a route that signs tokens, and Snug for everything else. Vite serves the React app before it.

import snug, { type Context, type Env, rooms } from "snug-worker";

export { Gateway, Room } from "snug-worker";

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/chat-token" && request.method === "POST") return tokenFor(request, env);
    return snug.fetch(request, env, context);
  },
};

/**
 * Returns the id of the signed-in user. Replace this with your own session: in development, it trusts the name in
 * the URL, and in production, it rejects every request.
 */
async function currentUser(request: Request) {
  if (!import.meta.env.DEV) return null;
  return new URL(request.url).searchParams.get("name");
}

async function tokenFor(request: Request, env: Env): Promise<Response> {
  const user = await currentUser(request);
  if (!user) return new Response("Sign in first", { status: 401 });
  const token = await rooms(env).mintToken({ user, rooms: ["lobby"], expiresIn: 3600 });
  return new Response(token, { headers: { "cache-control": "no-store" } });
}
