// Laravel Echo with the connector of the client, a real Laravel application with the package, and the built Worker.

import Echo from "laravel-echo";
import { type ChannelError, SnugConnector, type SnugEchoOptions } from "snug-client/echo";
import { Snug } from "snug-client/server";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { startFaultyLine } from "./support/faults.js";
import { newRoom } from "./support/join-request.js";
import { type LaravelSite, startLaravel, WebSession } from "./support/laravel.js";
import { hasFrameworks } from "./support/php.js";
import { SECRET } from "./support/tokens.js";

const TIMEOUT_MS = 10_000;
const SHIPPED = "Snug\\Laravel\\Tests\\App\\OrderShipped";

/** A page of a user, or of a guest. */
interface Page {
  echo: Echo<"function">;
  session: WebSession;
}

/** Echo has no type for connectors that it does not know. */
const connectorOf = (echo: Echo<"function">) => echo.connector as SnugConnector;

/** Collects what a callback receives, and waits for it. */
function collect<T = unknown>() {
  const values: T[] = [];
  return {
    values,
    add: (value: T) => void values.push(value),
    /** Waits until there are as many values. */
    until: (count: number) => vi.waitFor(() => expect(values).toHaveLength(count), TIMEOUT_MS),
  };
}

describe.skipIf(!hasFrameworks)("Laravel Echo", { timeout: 30_000 }, () => {
  let site: LaravelSite;
  beforeAll(async () => {
    site = await startLaravel();
  }, 60_000);
  afterAll(() => site?.[Symbol.asyncDispose]());

  /** Opens a page, and disconnects it when the test ends. */
  async function open(user?: string, options: Partial<SnugEchoOptions> = {}, on = site): Promise<Page> {
    const session = new WebSession(on);
    if (user) await session.signIn(user);
    const echo = new Echo<"function">({
      broadcaster: SnugConnector,
      url: on.worker.origin,
      csrfToken: session.csrfToken,
      fetch: session.fetch,
      namespace: "Snug.Laravel.Tests.App",
      backoff: { minMs: 20, maxMs: 100 },
      ...options,
    });
    onTestFinished(() => echo.disconnect());
    return { echo, session };
  }

  /** Waits until a channel is joined. */
  const joined = (channel: { subscribed(callback: () => void): unknown }) =>
    new Promise<void>((resolve) => channel.subscribed(resolve));

  const errorOf = (channel: { error(callback: (error: ChannelError) => void): unknown }) =>
    new Promise<ChannelError>((resolve) => channel.error(resolve));

  /** Returns the part of a channel's name that no other test uses. */
  const unused = () => newRoom().replaceAll(":", "-");

  describe("receives events", () => {
    it("on public channels, as a guest", async () => {
      const name = unused();
      const { echo, session } = await open();
      const shipped = collect();
      await joined(echo.channel(name).listen("OrderShipped", shipped.add));
      await session.signIn("bob");
      await session.post("/ship/7", { public: name });
      await shipped.until(1);
      expect(shipped.values).toEqual([{ order: 7 }]);
    });

    it("on private and presence channels that a rule grants", async () => {
      const room = unused();
      const { echo, session } = await open("ann");
      const shipped = collect();
      await joined(echo.private("orders.ann").listen("OrderShipped", shipped.add));
      await joined(echo.join(`chat.${room}`).listen(`.${SHIPPED}`, shipped.add));
      await session.post("/ship/8", { private: "orders.ann", presence: `chat.${room}` });
      await shipped.until(2);
      expect(shipped.values).toEqual([{ order: 8 }, { order: 8 }]);
    });

    it("by name, all together, and no longer after stopListening", async () => {
      const name = unused();
      const { echo, session } = await open("ann");
      const [one, two, all, other] = [collect(), collect(), collect<[string, unknown]>(), collect()];
      const channel = echo.channel(name);
      channel.listen("OrderShipped", one.add).listen("OrderShipped", two.add).listen("Other", other.add);
      channel.listenToAll((event: string, data: unknown) => all.add([event, data]));
      await joined(channel);
      await session.post("/ship/1", { public: name });
      await all.until(1);
      channel.stopListening("OrderShipped", one.add);
      await session.post("/ship/2", { public: name });
      await all.until(2);
      channel.stopListening("OrderShipped").stopListeningToAll();
      channel.listen("OrderShipped", other.add);
      await session.post("/ship/3", { public: name });
      await other.until(1);
      expect(one.values).toEqual([{ order: 1 }]);
      expect(two.values).toEqual([{ order: 1 }, { order: 2 }]);
      expect(all.values).toEqual([
        ["OrderShipped", { order: 1 }],
        ["OrderShipped", { order: 2 }],
      ]);
      expect(other.values).toEqual([{ order: 3 }]);
    });

    it("that were published while the connection was lost", async () => {
      await using line = await startFaultyLine(site.worker.origin);
      const name = unused();
      const { echo, session } = await open("ann", { url: line.origin });
      const shipped = collect();
      const lost = collect<string>();
      connectorOf(echo).onConnectionChange(lost.add);
      await joined(echo.channel(name).listen("OrderShipped", shipped.add));
      line.refuse(true);
      line.drop();
      await vi.waitFor(() => expect(lost.values).toContain("reconnecting"), TIMEOUT_MS);
      await session.post("/ship/1", { public: name });
      await session.post("/ship/2", { public: name });
      line.refuse(false);
      await shipped.until(2);
      expect(shipped.values).toEqual([{ order: 1 }, { order: 2 }]);
    });
  });

  it("reports that missed events cannot be received any more", async () => {
    await using line = await startFaultyLine(site.worker.origin);
    const name = unused();
    const { echo } = await open("ann", { url: line.origin });
    const gaps = collect();
    await joined(echo.channel(name).gap(gaps.add));
    const snug = new Snug({ url: site.worker.origin, secret: SECRET });
    line.refuse(true);
    line.drop();
    // A new epoch begins.
    await snug.publish(`public-${name}`, { data: 1 });
    await snug.deleteRoom(`public-${name}`);
    await snug.publish(`public-${name}`, { data: 2 });
    line.refuse(false);
    await gaps.until(1);
  });

  it("hears events with names that are too long for Snug", async () => {
    const name = unused();
    const { echo } = await open();
    const event = `${"x".repeat(20)}${"é".repeat(40)}`;
    const heard = collect();
    await joined(echo.channel(name).listen(`.${event}`, heard.add));
    const snug = new Snug({ url: site.worker.origin, secret: SECRET });
    // The last 64 bytes, as the broadcaster cuts it.
    await snug.publish(`public-${name}`, { event: "é".repeat(32), data: { order: 1 } });
    await heard.until(1);
  });

  describe("toOthers", () => {
    it("leaves out the page that sent the request", async () => {
      const name = unused();
      const [ann, bob] = [await open("ann"), await open("bob")];
      const [atAnn, atBob] = [collect(), collect()];
      await joined(ann.echo.channel(name).listen("OrderShipped", atAnn.add));
      await joined(bob.echo.channel(name).listen("OrderShipped", atBob.add));
      await ann.session.post("/ship/1", { public: name, others: "1" }, ann.echo.socketId());
      await ann.session.post("/ship/2", { public: name }, ann.echo.socketId());
      await atBob.until(2);
      await atAnn.until(1);
      expect(atAnn.values).toEqual([{ order: 2 }]);
      expect(atBob.values).toEqual([{ order: 1 }, { order: 2 }]);
    });

    it("leaves out the page also if it has reconnected meanwhile", async () => {
      await using line = await startFaultyLine(site.worker.origin);
      const name = unused();
      const { echo, session } = await open("ann", { url: line.origin });
      const shipped = collect();
      await joined(echo.channel(name).listen("OrderShipped", shipped.add));
      const before = echo.socketId();
      line.refuse(true);
      line.drop();
      await session.post("/ship/1", { public: name, others: "1" }, before);
      await session.post("/ship/2", { public: name }, before);
      line.refuse(false);
      await shipped.until(1);
      expect(shipped.values).toEqual([{ order: 2 }]);
      expect(echo.socketId()).not.toBe(before);
    });
  });

  describe("presence", () => {
    it("reports the members with the profiles of the rule", async () => {
      const name = `chat.${unused()}`;
      const [ann, bob] = [await open("ann"), await open("bob")];
      const [here, joining, leaving] = [collect(), collect(), collect()];
      await joined(ann.echo.join(name).here(here.add).joining(joining.add).leaving(leaving.add));
      expect(here.values).toEqual([[{ id: "ann", name: "Ann" }]]);
      const atBob = collect();
      await joined(bob.echo.join(name).here(atBob.add));
      expect(atBob.values).toEqual([
        [
          { id: "ann", name: "Ann" },
          { id: "bob", name: "Bob" },
        ],
      ]);
      await joining.until(1);
      bob.echo.leave(name);
      await leaving.until(1);
      expect(joining.values).toEqual([{ id: "bob", name: "Bob" }]);
      expect(leaving.values).toEqual([{ id: "bob", name: "Bob" }]);
      expect(here.values).toHaveLength(1);
    });

    it("counts a user with several pages once", async () => {
      const name = `chat.${unused()}`;
      const ann = await open("ann");
      const [joining, leaving] = [collect(), collect()];
      await joined(ann.echo.join(name).joining(joining.add).leaving(leaving.add));
      const [one, two] = [await open("bob"), await open("bob")];
      await joined(one.echo.join(name));
      await joined(two.echo.join(name));
      one.echo.disconnect();
      await joined((await open("cho")).echo.join(name));
      await joining.until(2);
      two.echo.disconnect();
      await leaving.until(1);
      expect(joining.values).toEqual([
        { id: "bob", name: "Bob" },
        { id: "cho", name: "Cho" },
      ]);
    });

    it("reports the members to callbacks that come late", async () => {
      const name = `chat.${unused()}`;
      const { echo } = await open("ann");
      await joined(echo.join(name));
      const here = collect();
      echo.join(name).here(here.add);
      await here.until(1);
      expect(here.values).toEqual([[{ id: "ann", name: "Ann" }]]);
    });

    it("reaches Laravel's listeners by webhooks", async () => {
      const name = `chat.${unused()}`;
      const { echo } = await open("dora");
      await joined(echo.join(name));
      echo.leave(name);
      const expected = [`MemberJoined dora presence-${name}`, `MemberLeft dora presence-${name}`];
      await vi.waitFor(
        () => expect(site.events().filter((line) => line.includes(name))).toEqual(expected),
        TIMEOUT_MS,
      );
    });
  });

  it("sends whispers to the other pages", async () => {
    const name = `chat.${unused()}`;
    const [ann, bob] = [await open("ann"), await open("bob")];
    const [atAnn, atBob] = [collect(), collect()];
    const channel = ann.echo.join(name).listenForWhisper("typing", atAnn.add);
    await joined(channel);
    await joined(bob.echo.join(name).listenForWhisper("typing", atBob.add));
    channel.whisper("typing", { name: "Ann" });
    channel.whisper("other", {}).whisper("typing", { name: "again" });
    await atBob.until(2);
    expect(atBob.values).toEqual([{ name: "Ann" }, { name: "again" }]);
    expect(atAnn.values).toEqual([]);
  });

  describe("a channel that is refused", () => {
    it("reports the status once and leaves the others joined", async () => {
      const { echo } = await open("ann");
      const granted = echo.private("orders.ann");
      const refused = echo.private("orders.bob");
      expect(await errorOf(refused)).toEqual({
        type: "AuthError",
        status: 403,
        code: "auth_refused",
        error: "/broadcasting/auth responded with status 403",
      });
      await joined(granted);
      const before = await site.requests("/broadcasting/auth");
      await joined(echo.channel(unused()));
      expect(await site.requests("/broadcasting/auth")).toBe(before);
      expect(refused.room.status).toBe("disconnected");
    });

    it("is refused to guests", async () => {
      const { echo } = await open();
      expect(await errorOf(echo.join("chat.1"))).toMatchObject({ type: "AuthError", status: 403 });
    });

    it("is logged if nothing handles the error", async () => {
      const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
      onTestFinished(() => warn.mockRestore());
      const { echo } = await open("ann");
      echo.private("orders.bob");
      await vi.waitFor(() => expect(warn).toHaveBeenCalled(), TIMEOUT_MS);
      expect(warn.mock.calls[0]?.[0]).toContain("channel 'private-orders.bob': auth_refused");
    });

    it("can be a name that is no room", async () => {
      const { echo } = await open("ann");
      expect(await errorOf(echo.channel("a,b"))).toMatchObject({ type: "RoomError", code: "bad_room" });
      expect(await errorOf(echo.join("chat.a,b"))).toMatchObject({ code: expect.any(String) });
    });
  });

  it("leaves channels by name, with their variants, or all", async () => {
    const { echo } = await open("ann");
    const channels = [echo.private("orders.ann"), echo.join("chat.1"), echo.channel("news")];
    for (const channel of channels) await joined(channel);
    expect(echo.private("orders.ann")).toBe(channels[0]);
    echo.leave("orders.ann");
    expect(channels[0].room.status).toBe("disconnected");
    echo.leaveChannel("presence-chat.1");
    expect(channels[1].room.status).toBe("disconnected");
    expect(Object.keys(connectorOf(echo).channels)).toEqual(["news"]);
    echo.leaveAllChannels();
    expect(channels[2].room.status).toBe("disconnected");
    await joined(echo.private("orders.ann"));
  });

  it("reports the status of the connection", async () => {
    const { echo } = await open("ann");
    const seen = collect<string>();
    const end = connectorOf(echo).onConnectionChange(seen.add);
    expect(echo.connectionStatus()).toBe("connecting");
    await vi.waitFor(() => expect(echo.connectionStatus()).toBe("connected"), TIMEOUT_MS);
    expect(echo.socketId()).toMatch(/^[0-9a-f]{16}$/);
    echo.disconnect();
    expect(echo.connectionStatus()).toBe("disconnected");
    expect(seen.values).toEqual(["connected", "disconnected"]);
    end();
    echo.connect();
    await joined(echo.channel("news"));
    expect(echo.connectionStatus()).toBe("connected");
    expect(seen.values).toHaveLength(2);
  });

  it("fails if Laravel refuses the token of the connection", async () => {
    const { echo } = await open("ann", { authEndpoint: "/no/such/route" });
    const expected = { type: "AuthError", status: 404, code: "auth_refused" };
    expect(await errorOf(echo.channel("news"))).toMatchObject(expected);
    expect(echo.connectionStatus()).toBe("failed");
    // Also a channel that is opened later.
    expect(await errorOf(echo.private("orders.ann"))).toMatchObject(expected);
  });

  it("retries if Laravel cannot answer for a moment", async () => {
    let failures = 2;
    const session = new WebSession(site);
    const flaky: typeof fetch = (path, init) =>
      failures-- > 0 ? Promise.resolve(new Response("", { status: 503 })) : session.fetch(path, init);
    const { echo } = await open(undefined, { fetch: flaky });
    const channel = echo.channel(unused());
    const errors = collect<ChannelError>();
    channel.error(errors.add);
    await joined(channel);
    expect(errors.values.map(({ code }) => code)).toEqual(["token_unavailable", "token_unavailable"]);
  });

  it("sends the headers of the options", async () => {
    const seen: Headers[] = [];
    const session = new WebSession(site);
    const options = {
      csrfToken: "csrf",
      bearerToken: "bearer",
      auth: { headers: { "X-Team": "7" } },
      fetch: ((path, init) => {
        seen.push(new Headers(init?.headers));
        return session.fetch(path, init);
      }) as typeof fetch,
    };
    await joined((await open(undefined, options)).echo.channel("news"));
    expect(seen[0]?.get("x-csrf-token")).toBe("csrf");
    expect(seen[0]?.get("authorization")).toBe("Bearer bearer");
    expect(seen[0]?.get("x-team")).toBe("7");
  });

  it("requires the address of the server", () => {
    expect(() => new Echo<"function">({ broadcaster: SnugConnector })).toThrow("url is missing");
  });

  it("leaves a channel when its rule does not grant it any more", async () => {
    await using short = await startLaravel({ JWT_LEEWAY_SECONDS: 0 }, { SNUG_TOKEN_TTL: "3" });
    const { echo, session } = await open("ann", {}, short);
    const channel = echo.private("team");
    const errors = collect<ChannelError>();
    channel.error(errors.add);
    await joined(channel);
    await session.post("/dissolve", {});
    await vi.waitFor(() => expect(channel.room.status).toBe("disconnected"), TIMEOUT_MS);
    expect(errors.values).toContainEqual(expect.objectContaining({ type: "AuthError", status: 403 }));
  });

  it("leaves a user's channels when the user signs out", async () => {
    await using short = await startLaravel({ JWT_LEEWAY_SECONDS: 0 }, { SNUG_TOKEN_TTL: "3" });
    const { echo, session } = await open("ann", {}, short);
    const channel = echo.private("orders.ann");
    const errors = collect<ChannelError>();
    channel.error(errors.add);
    await joined(channel);
    await session.signOut();
    await vi.waitFor(() => expect(channel.room.status).toBe("disconnected"), TIMEOUT_MS);
    // Either the channel's token is renewed first, which its rule refuses, or the connection's, which is a guest's now.
    const codes = errors.values.map(({ code }) => code);
    expect(codes.some((code) => code === "auth_refused" || code === "user_changed")).toBe(true);
  });
});
