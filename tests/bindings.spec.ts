// An application that is a Worker, which Snug calls through service bindings.

import { expect, it } from "vitest";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { inSeconds } from "./support/tokens.js";
import { startWithApplication } from "./support/worker.js";

/** Logs each request, and answers as an application does. */
const APPLICATION = `
  export default {
    async fetch(request) {
      const { hostname, pathname } = new URL(request.url);
      const body = await request.json();
      const signed = request.headers.has("webhook-signature") ? "signed" : "unsigned";
      console.log("called: " + request.method, hostname + pathname, signed);
      if (pathname === "/auth") {
        const user = /user=(\\w+)/.exec(request.headers.get("cookie"))?.[1];
        if (!user) return new Response(null, { status: 401 });
        return Response.json({ sub: user, rooms: [body.room], exp: ${inSeconds(3600)} });
      }
      if (pathname === "/publish") {
        const decisions = body.data.messages.map(({ data }) =>
          data === "spam" ? { allow: false, reason: "no spam" } : { allow: true, data: data + "!" });
        return Response.json({ decisions });
      }
      for (const { type, user } of body.data.events) console.log("event: " + type, user ?? "");
      if (!request.headers.get("webhook-id")) return new Response(null, { status: 400 });
      return new Response(null, { status: 204 });
    },
  };
`;

const ALL = ["AUTH", "PUBLISH", "WEBHOOK"];

it("identifies users, decides about messages and receives events, without a secret", async () => {
  const room = newRoom();
  await using worker = await startWithApplication(APPLICATION, ALL, { PRESENCE_GRACE_MS: 0 });
  const refused = await fetch(`${worker.origin}/v1/rooms/${room}/socket`);
  expect([refused.status, await refused.json()]).toMatchObject([401, { code: "token_missing" }]);
  const ann = await connect(worker, room, { token: undefined, headers: { cookie: "user=ann" } });
  expect(ann.welcome.user).toBe("ann");
  await ann.request({ type: "publish", data: "hi" });
  expect(await ann.next("message")).toMatchObject({ user: "ann", data: "hi!" });
  const spam = await ann.requestError({ type: "publish", data: "spam" });
  expect(spam).toMatchObject({ code: "refused", message: "no spam" });
  await ann.close();
  await expect.poll(() => worker.log(), { timeout: 20_000 }).toContain("event: room.vacated");
  expect(worker.log()).toContain("event: member.joined ann");
  for (const path of ["auth", "publish", "webhook"])
    expect(worker.log()).toContain(`called: POST snug.invalid/${path} unsigned`);
});

it("receives signed requests if there is a secret", async () => {
  const settings = { WEBHOOK_SECRET: `whsec_${"A".repeat(32)}` };
  await using worker = await startWithApplication(APPLICATION, ["PUBLISH"], settings);
  const ann = await connect(worker, newRoom(), { user: "ann" });
  await ann.request({ type: "publish", data: "hi" });
  expect(worker.log()).toContain("called: POST snug.invalid/publish signed");
});

it("that fails is logged by the binding's name, and treated like one at a URL", async () => {
  const code = `export default { fetch() { throw new Error("broken"); } };`;
  await using worker = await startWithApplication(code, ["AUTH", "PUBLISH"]);
  const room = newRoom();
  const join = await fetch(`${worker.origin}/v1/rooms/${room}/socket`, { headers: { cookie: "a=b" } });
  expect([join.status, await join.json()]).toMatchObject([503, { code: "auth_unavailable" }]);
  const ann = await connect(worker, room, { user: "ann" });
  const error = await ann.requestError({ type: "publish", data: "hi" });
  expect(error).toMatchObject({ code: "internal", retryable: true });
  await expect.poll(() => worker.log()).toContain("PUBLISH could not be reached, or took too long");
});

it("cannot be named twice", async () => {
  const settings = { AUTH_URL: "https://app.example/auth" };
  await using worker = await startWithApplication(APPLICATION, ["AUTH"], settings);
  const health = await fetch(`${worker.origin}/healthz`);
  expect(await health.json()).toMatchObject({ detail: "AUTH and AUTH_URL are both set: keep one of them" });
});
