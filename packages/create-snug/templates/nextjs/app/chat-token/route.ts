import { mintToken } from "snug-client/server";

/**
 * Returns the id of the signed-in user. Replace this with your own session: in development, it trusts the name in
 * the URL, and in production, it rejects every request.
 */
async function currentUser(request: Request) {
  if (process.env.NODE_ENV === "production") return null;
  return new URL(request.url).searchParams.get("name");
}

export async function POST(request: Request) {
  const user = await currentUser(request);
  if (!user) return new Response("Sign in first", { status: 401 });
  const secret = process.env.JWT_SECRET;
  if (!secret) throw new Error("JWT_SECRET is not set");
  const token = await mintToken({ secret, user, rooms: ["lobby"], expiresIn: 3600 });
  return new Response(token, { headers: { "cache-control": "no-store" } });
}
