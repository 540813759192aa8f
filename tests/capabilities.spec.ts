// Capabilities: each allows its own commands and pushes, and nothing else does.

import { afterAll, describe, expect, it } from "vitest";
import { type Client, connect } from "./support/client.js";
import { joinRefusal } from "./support/admission.js";
import { type JoinRequest, newRoom } from "./support/join-request.js";
import { token } from "./support/tokens.js";
import type { Push } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

const ALL = ["receive", "publish", "signal", "presence", "history", "moderate", "serve"] as const;
type Capability = (typeof ALL)[number];

const without = (...lacking: Capability[]) => ALL.filter((one) => !lacking.includes(one));

/** A wish to join with these capabilities in every room. */
const able = (user: string, can: readonly string[], more: JoinRequest = {}): JoinRequest => ({
  user,
  claims: { rooms: { "*": can } },
  ...more,
});

/** The commands, each with what it takes; two take nothing. */
const commands: [string, () => object | Promise<object>, Capability | undefined][] = [
  ["publish", () => ({ type: "publish", data: "hello" }), "publish"],
  ["publish with a key", () => ({ type: "publish", key: "k", data: "hello" }), "publish"],
  ["signal to all", () => ({ type: "signal", data: "hello" }), "signal"],
  ["signal to some", () => ({ type: "signal", to: ["witness"], data: "hello" }), "signal"],
  ["state", () => ({ type: "state", data: { typing: true } }), "presence"],
  ["members", () => ({ type: "members" }), "presence"],
  ["history", () => ({ type: "history" }), "history"],
  ["history of a page", () => ({ type: "history", before: 2, limit: 1 }), "history"],
  ["kick", () => ({ type: "kick", user: "nobody" }), "moderate"],
  ["kick with a ban", () => ({ type: "kick", user: "nobody", ban_seconds: 60 }), "moderate"],
  ["kick that lifts a ban", () => ({ type: "kick", user: "nobody", ban_seconds: 0 }), "moderate"],
  ["ping", () => ({ type: "ping" }), undefined],
  ["refresh", async () => ({ type: "refresh", token: await token({ sub: "ann" }) }), undefined],
];

/** A room in which something was said, and a witness who can do and hear everything. */
async function witnessed(): Promise<{ room: string; witness: Client }> {
  const room = newRoom();
  const witness = await connect(worker, room, able("witness", ALL, { query: { echo: 0 } }));
  await witness.request({ type: "publish", data: "first" });
  return { room, witness };
}

const isOf =
  (...types: Push["type"][]) =>
  ({ type }: Push) =>
    types.includes(type);

describe.each(ALL)("a connection that has nothing but %s", (capability) => {
  it.each(commands)("asks for %s", async (_name, command, needed) => {
    await expectDone([capability], command, needed === undefined || needed === capability);
  });
});

describe.each(ALL)("a connection that has everything but %s", (capability) => {
  it.each(commands)("asks for %s", async (_name, command, needed) => {
    await expectDone(without(capability), command, needed !== capability);
  });
});

/** A command is done, or else it is forbidden, and nothing has come of it. */
async function expectDone(
  can: readonly Capability[],
  command: () => object | Promise<object>,
  isAllowed: boolean,
) {
  const { room, witness } = await witnessed();
  const ann = await connect(worker, room, able("ann", can));
  expect(ann.welcome.can).toEqual(can);
  await witness.next("presence");
  ann.send({ ...(await command()), id: "it" });
  const isReply = (push: Push) => "id" in push && push.id === "it";
  const replies: Push[] = [];
  // A check of a token may take longer than a ping.
  while (replies.length === 0) replies.push(...(await ann.drain()).filter(isReply));
  if (isAllowed) {
    expect(replies).not.toContainEqual(expect.objectContaining({ type: "error" }));
    expect(replies).toHaveLength(1);
    return;
  }
  expect(replies).toEqual([
    { type: "error", id: "it", code: "forbidden", message: expect.any(String), retryable: false },
  ]);
  expect(await witness.drain()).toEqual([]);
  const { messages } = await witness.request({ type: "history" });
  expect(messages.map(({ data }) => data)).toEqual(["first"]);
  await connect(worker, room, { user: "nobody" });
}

describe("of several patterns that match", () => {
  const rooms = {
    "*": ["receive"],
    "team:*": ["publish"],
    "team:7:*": ["signal"],
    "team:7:general": ["history"],
    "team:7:general*": ["presence"],
    "team:7:closed": [],
    "team:8:*": [],
    "team:8:open": ["moderate"],
    "team:9*": ["unheard-of"],
  };
  const backwards = Object.fromEntries(Object.entries(rooms).reverse());

  it.each<[string, Capability]>([
    ["lobby", "receive"],
    ["team", "receive"],
    ["Team:7:general", "receive"],
    ["team:", "publish"],
    ["team:7", "publish"],
    ["team:70:general", "publish"],
    ["team:7:", "signal"],
    ["team:7:genera", "signal"],
    ["team:7:closed2", "signal"],
    ["team:7:general", "history"],
    ["team:7:general2", "presence"],
    ["team:8:open", "moderate"],
  ])("the closest to %s decides alone, and grants %s", async (room, only) => {
    for (const claims of [{ rooms }, { rooms: backwards }]) {
      const ann = await connect(worker, room, { claims });
      expect(ann.welcome.can).toEqual([only]);
      for (const [name, command, needed] of commands.filter(([, , needed]) => needed)) {
        ann.send({ ...(await command()), id: name });
        const replies = (await ann.drain()).filter((push) => "id" in push && push.id === name);
        expect(replies, name).toHaveLength(1);
        const error = { type: "error", code: "forbidden" };
        if (needed === only) expect(replies, name).not.toMatchObject([error]);
        else expect(replies, name).toMatchObject([error]);
      }
    }
  });

  it.each(["team:7:closed", "team:8:general", "team:8:", "team:8:open2", "team:9", "team:90:x"])(
    "the closest to %s grants nothing, and so it is closed",
    async (room) => {
      for (const claims of [{ rooms }, { rooms: backwards }]) {
        const answer = await joinRefusal(worker, room, { claims });
        expect(answer.status).toBe(403);
        expect(JSON.parse(answer.body).code).toBe("room_forbidden");
      }
    },
  );

  it("those of a list are alike, and grant the usual", async () => {
    const usual = ["receive", "publish", "signal", "presence", "history"];
    for (const list of [["*"], ["team:*", "lobby"], ["lobby", "*", "team:7:*", "lobby"], ["team:7:x"]]) {
      const { welcome } = await connect(worker, "team:7:x", { claims: { rooms: list } });
      expect(welcome.can).toEqual(usual);
    }
  });

  it("the closest is what a new token is read by too", async () => {
    const ann = await connect(worker, "team:7:general");
    const refresh = async () => ({ type: "refresh" as const, token: await token({ rooms }) });
    await ann.request(await refresh());
    expect((await ann.requestError({ type: "publish", data: 1 })).code).toBe("forbidden");
    await ann.request({ type: "history" });
    const bob = await connect(worker, "team:8:general");
    expect((await bob.requestError(await refresh())).code).toBe("forbidden");
    expect((await bob.closed()).code).toBe(4102);
  });
});

describe("a connection without 'receive'", () => {
  /** Says something to all and to deaf ann, alone and with other commands in its frame. */
  async function speak(speaker: Client) {
    const publish = { type: "publish", data: "to all" };
    const signal = { type: "signal", data: "to all" };
    await speaker.request({ type: "publish", data: "to all" });
    await speaker.request({ type: "signal", data: "to all" });
    await speaker.request({ type: "signal", data: "to ann", to: ["ann"] });
    speaker.send(publish, signal, { ...signal, to: ["ann", "witness"] }, publish, { ...publish, id: "last" });
    await speaker.next("ack", ({ id }) => id === "last");
  }

  const said = (pushes: Push[]) => pushes.filter(isOf("message", "signal"));

  it("hears no messages and no signals, also after hibernation", async () => {
    const { room, witness } = await witnessed();
    const bob = await connect(worker, room, able("bob", ALL));
    const deaf = await connect(worker, room, able("ann", without("receive")));
    const hearing = await connect(worker, room, able("ann", ALL));
    for (let time = 1; time <= 2; time++) {
      await speak(bob);
      expect(said(await deaf.drain())).toEqual([]);
      // The user's other connection hears all of it, and so there was something to hear.
      expect(said(await hearing.drain())).toHaveLength(8);
      expect(said(await witness.drain())).toHaveLength(7);
      await worker.hibernate(room);
    }
  });

  it("hears nothing of its own, be it in the same frame, and is answered all the same", async () => {
    const { room, witness } = await witnessed();
    const deaf = await connect(worker, room, able("ann", without("receive")));
    const publish = { type: "publish", data: "from ann" };
    for (let time = 1; time <= 2; time++) {
      deaf.send(
        { ...publish, id: "a" },
        { type: "signal", data: 1 },
        { type: "signal", to: ["ann"], data: 1 },
        { ...publish, id: "b" },
        { ...publish, id: "c" },
      );
      const heard = (await deaf.drain()).filter(({ type }) => type !== "presence");
      expect(heard).toMatchObject(["a", "b", "c"].map((id) => ({ type: "ack", id })));
      expect(said(await witness.drain())).toHaveLength(4);
      await worker.hibernate(room);
    }
  });

  it("hears nothing in a busy room", async () => {
    const { room } = await witnessed();
    const speakers = await Promise.all(
      ["bob", "cho", "dan"].map((user) => connect(worker, room, able(user, ALL))),
    );
    const deaf = await connect(worker, room, able("ann", without("receive"), { protocols: [] }));
    const last = await connect(worker, room, able("eve", ALL));
    for (let round = 0; round < 20; round++) {
      for (const speaker of speakers) speaker.send({ type: "publish", data: round });
      deaf.send(JSON.stringify({ type: "publish", data: round }));
    }
    for (let heard = 0; heard < 80; heard++) await last.next("message");
    expect(said(await deaf.drain())).toEqual([]);
  });

  it("is replayed nothing, by position or by number", async () => {
    const { room, witness } = await witnessed();
    const { epoch } = witness.welcome;
    const position = { epoch, offset: 0 };
    for (const [query, recovered] of [
      [position, false],
      [{ ...position, last: 1 }, false],
      [{ last: 1 }, null],
    ] as const) {
      const deaf = await connect(worker, room, able("ann", without("receive"), { query }));
      expect(deaf.welcome).toMatchObject({ recovered, offset: 1, epoch });
      expect(said(await deaf.drain())).toEqual([]);
      // It may read what it is not sent.
      expect((await deaf.request({ type: "history" })).messages).toMatchObject([{ data: "first" }]);
      const hearing = await connect(worker, room, able("bob", ALL, { query }));
      expect(hearing.welcome.recovered).toBe(recovered === null ? null : true);
      expect(said(await hearing.drain())).toMatchObject([{ data: "first" }]);
    }
  });

  it("hears from then on once a new token grants it", async () => {
    const { room, witness } = await witnessed();
    const ann = await connect(worker, room, able("ann", ["publish"]));
    await witness.request({ type: "publish", data: "unheard" });
    const refresh = async (can: string[]) =>
      ann.request({ type: "refresh", token: await token({ rooms: { "*": can } }) });
    await refresh(["receive"]);
    await witness.request({ type: "publish", data: "heard" });
    await refresh(["publish"]);
    await witness.request({ type: "publish", data: "unheard" });
    expect(said(await ann.drain())).toMatchObject([{ data: "heard" }]);
  });
});

describe("a connection without 'presence'", () => {
  it("is not told who is there, comes, goes or does what, also after hibernation", async () => {
    const { room, witness } = await witnessed();
    const blind = await connect(worker, room, able("ann", without("presence")));
    expect(blind.welcome.count).toBe(2);
    expect(blind.welcome).not.toHaveProperty("members");
    expect((await witness.next("presence")).joins).toMatchObject([{ user: "ann" }]);
    for (let time = 1; time <= 2; time++) {
      const bob = await connect(worker, room, able("bob", ALL));
      await bob.request({ type: "state", data: { typing: true } });
      await bob.close(1000);
      await witness.next("presence", ({ leaves }) => leaves.includes("bob"));
      expect(await blind.drain()).toEqual([]);
      await worker.hibernate(room);
    }
    await witness.request({ type: "publish", data: "heard" });
    expect(await blind.drain()).toMatchObject([{ type: "message", data: "heard" }]);
  });

  it("is a member for those who have it", async () => {
    const { room } = await witnessed();
    await connect(worker, room, able("ann", ["serve"]));
    const bob = await connect(worker, room, able("bob", ["presence"]));
    expect(bob.welcome.members).toMatchObject([{ user: "ann" }, { user: "bob" }, { user: "witness" }]);
  });
});

describe("a connection without 'history'", () => {
  it("reads nothing, is replayed nothing, and hears what is live", async () => {
    const { room, witness } = await witnessed();
    const { epoch } = witness.welcome;
    for (const [query, recovered] of [
      [{ epoch, offset: 0 }, false],
      [{ epoch, offset: 0, last: 1 }, false],
      [{ last: 1 }, null],
    ] as const) {
      const ann = await connect(worker, room, able("ann", without("history"), { query }));
      expect(ann.welcome.recovered).toBe(recovered);
      expect((await ann.requestError({ type: "history" })).code).toBe("forbidden");
      expect((await ann.drain()).filter(isOf("message"))).toEqual([]);
      await witness.request({ type: "publish", data: "live" });
      expect(await ann.next("message")).toMatchObject({ data: "live" });
    }
  });
});
