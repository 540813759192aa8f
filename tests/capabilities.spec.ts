// Capabilities: each allows exactly its own commands and pushes.

import { afterAll, describe, expect, it } from "vitest";
import { joinRefusal } from "./support/admission.js";
import { type Client, connect } from "./support/client.js";
import { type JoinRequest, newRoom } from "./support/join-request.js";
import { token } from "./support/tokens.js";
import type { Push } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const worker = await startWorker({ PRESENCE_GRACE_MS: 0 });
afterAll(() => worker.dispose());

const ALL = ["receive", "publish", "signal", "presence", "history", "moderate", "serve"] as const;
type Capability = (typeof ALL)[number];

const without = (...lacking: Capability[]) => ALL.filter((one) => !lacking.includes(one));

/** Returns a join request whose token grants these capabilities in every room. */
const withCapabilities = (user: string, can: readonly string[], more: JoinRequest = {}): JoinRequest => ({
  user,
  claims: { rooms: { "*": can } },
  ...more,
});

/** The commands, each with the capability it requires. Two require none. */
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

/** Creates a room with one message and a witness that has all capabilities. */
async function roomWithWitness(): Promise<{ room: string; witness: Client }> {
  const room = newRoom();
  const witness = await connect(worker, room, withCapabilities("witness", ALL, { query: { echo: 0 } }));
  await witness.request({ type: "publish", data: "first" });
  return { room, witness };
}

const isOf =
  (...types: Push["type"][]) =>
  ({ type }: Push) =>
    types.includes(type);

describe.each(ALL)("a connection with only %s", (capability) => {
  it.each(commands)(
    `with only '${capability}', a command is allowed if it needs no other capability: %s`,
    async (_name, command, needed) => {
      await expectOutcome([capability], command, needed === undefined || needed === capability);
    },
  );
});

describe.each(ALL)("a connection with all capabilities except %s", (capability) => {
  it.each(commands)(
    `without '${capability}', a command is allowed if it does not need it: %s`,
    async (_name, command, needed) => {
      await expectOutcome(without(capability), command, needed !== capability);
    },
  );
});

/** Checks that a command is executed, or that it is forbidden and has no effect. */
async function expectOutcome(
  can: readonly Capability[],
  command: () => object | Promise<object>,
  isAllowed: boolean,
) {
  const { room, witness } = await roomWithWitness();
  const ann = await connect(worker, room, withCapabilities("ann", can));
  expect(ann.welcome.can).toEqual(can);
  await witness.next("presence");
  ann.send({ ...(await command()), id: "command" });
  const isReply = (push: Push) => "id" in push && push.id === "command";
  const replies: Push[] = [];
  // Verifying a token may take longer than a ping.
  while (replies.length === 0) replies.push(...(await ann.drain()).filter(isReply));
  if (isAllowed) {
    expect(replies).not.toContainEqual(expect.objectContaining({ type: "error" }));
    expect(replies).toHaveLength(1);
    return;
  }
  expect(replies).toEqual([
    { type: "error", id: "command", code: "forbidden", message: expect.any(String), retryable: false },
  ]);
  expect(await witness.drain()).toEqual([]);
  const { messages } = await witness.request({ type: "history" });
  expect(messages.map(({ data }) => data)).toEqual(["first"]);
  await connect(worker, room, { user: "nobody" });
}

describe("several matching room patterns", () => {
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
  ])("for room %s, only the most specific pattern counts, and grants %s", async (room, only) => {
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
    "for room %s, the most specific pattern grants nothing, and the join is rejected",
    async (room) => {
      for (const claims of [{ rooms }, { rooms: backwards }]) {
        const response = await joinRefusal(worker, room, { claims });
        expect(response.status).toBe(403);
        expect(JSON.parse(response.body).code).toBe("room_forbidden");
      }
    },
  );

  it("in a list, all patterns grant the default capabilities", async () => {
    const defaults = ["receive", "publish", "signal", "presence", "history", "edit", "delete", "react"];
    for (const list of [["*"], ["team:*", "lobby"], ["lobby", "*", "team:7:*", "lobby"], ["team:7:x"]]) {
      const { welcome } = await connect(worker, "team:7:x", { claims: { rooms: list } });
      expect(welcome.can).toEqual(defaults);
    }
  });

  it("in a refreshed token, only the most specific pattern counts", async () => {
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
  /** Sends messages and signals to all and to ann, alone and with other commands in the same frame. */
  async function sendAll(sender: Client) {
    const publish = { type: "publish", data: "to all" };
    const signal = { type: "signal", data: "to all" };
    await sender.request({ type: "publish", data: "to all" });
    await sender.request({ type: "signal", data: "to all" });
    await sender.request({ type: "signal", data: "to ann", to: ["ann"] });
    sender.send(publish, signal, { ...signal, to: ["ann", "witness"] }, publish, { ...publish, id: "last" });
    await sender.next("ack", ({ id }) => id === "last");
  }

  const messagesIn = (pushes: Push[]) => pushes.filter(isOf("message", "signal"));

  it("without 'receive', a connection gets no messages and signals, even after hibernation", async () => {
    const { room, witness } = await roomWithWitness();
    const bob = await connect(worker, room, withCapabilities("bob", ALL));
    const muted = await connect(worker, room, withCapabilities("ann", without("receive")));
    const receiving = await connect(worker, room, withCapabilities("ann", ALL));
    for (let time = 1; time <= 2; time++) {
      await sendAll(bob);
      expect(messagesIn(await muted.drain())).toEqual([]);
      // The user's other connection receives everything.
      expect(messagesIn(await receiving.drain())).toHaveLength(8);
      expect(messagesIn(await witness.drain())).toHaveLength(7);
      await worker.hibernate(room);
    }
  });

  it("without 'receive', a connection gets no echoes, but gets its acks", async () => {
    const { room, witness } = await roomWithWitness();
    const muted = await connect(worker, room, withCapabilities("ann", without("receive")));
    const publish = { type: "publish", data: "from ann" };
    for (let time = 1; time <= 2; time++) {
      muted.send(
        { ...publish, id: "a" },
        { type: "signal", data: 1 },
        { type: "signal", to: ["ann"], data: 1 },
        { ...publish, id: "b" },
        { ...publish, id: "c" },
      );
      const replies = (await muted.drain()).filter(({ type }) => type !== "presence");
      expect(replies).toMatchObject(["a", "b", "c"].map((id) => ({ type: "ack", id })));
      expect(messagesIn(await witness.drain())).toHaveLength(4);
      await worker.hibernate(room);
    }
  });

  it("without 'receive', a connection gets no messages in a busy room", async () => {
    const { room } = await roomWithWitness();
    const senders = await Promise.all(
      ["bob", "cho", "dan"].map((user) => connect(worker, room, withCapabilities(user, ALL))),
    );
    const muted = await connect(worker, room, withCapabilities("ann", without("receive"), { protocols: [] }));
    const last = await connect(worker, room, withCapabilities("eve", ALL));
    for (let round = 0; round < 20; round++) {
      for (const sender of senders) sender.send({ type: "publish", data: round });
      muted.send(JSON.stringify({ type: "publish", data: round }));
    }
    for (let count = 0; count < 80; count++) await last.next("message");
    expect(messagesIn(await muted.drain())).toEqual([]);
  });

  it("without 'receive', a connection gets no replay, by position or by number", async () => {
    const { room, witness } = await roomWithWitness();
    const { epoch } = witness.welcome;
    const position = { epoch, offset: 0 };
    for (const [query, recovered] of [
      [position, false],
      [{ ...position, last: 1 }, false],
      [{ last: 1 }, null],
    ] as const) {
      const muted = await connect(worker, room, withCapabilities("ann", without("receive"), { query }));
      expect(muted.welcome).toMatchObject({ recovered, offset: 1, epoch });
      expect(messagesIn(await muted.drain())).toEqual([]);
      // It can read the history.
      expect((await muted.request({ type: "history" })).messages).toMatchObject([{ data: "first" }]);
      const receiving = await connect(worker, room, withCapabilities("bob", ALL, { query }));
      expect(receiving.welcome.recovered).toBe(recovered === null ? null : true);
      expect(messagesIn(await receiving.drain())).toMatchObject([{ data: "first" }]);
    }
  });

  it("without 'receive', a connection gets messages as soon as a refreshed token grants it", async () => {
    const { room, witness } = await roomWithWitness();
    const ann = await connect(worker, room, withCapabilities("ann", ["publish"]));
    await witness.request({ type: "publish", data: "not received" });
    const refresh = async (can: string[]) =>
      ann.request({ type: "refresh", token: await token({ rooms: { "*": can } }) });
    await refresh(["receive"]);
    await witness.request({ type: "publish", data: "received" });
    await refresh(["publish"]);
    await witness.request({ type: "publish", data: "not received" });
    expect(messagesIn(await ann.drain())).toMatchObject([{ data: "received" }]);
  });
});

describe("a connection without 'presence'", () => {
  it("without 'presence', a connection gets no members, joins, leaves and states, even after hibernation", async () => {
    const { room, witness } = await roomWithWitness();
    const noPresence = await connect(worker, room, withCapabilities("ann", without("presence")));
    expect(noPresence.welcome.count).toBe(2);
    expect(noPresence.welcome).not.toHaveProperty("members");
    expect((await witness.next("presence")).joins).toMatchObject([{ user: "ann" }]);
    for (let time = 1; time <= 2; time++) {
      const bob = await connect(worker, room, withCapabilities("bob", ALL));
      await bob.request({ type: "state", data: { typing: true } });
      await bob.close(1000);
      await witness.next("presence", ({ leaves }) => leaves.includes("bob"));
      expect(await noPresence.drain()).toEqual([]);
      await worker.hibernate(room);
    }
    await witness.request({ type: "publish", data: "received" });
    expect(await noPresence.drain()).toMatchObject([{ type: "message", data: "received" }]);
  });

  it("without 'presence', a connection is still a member to others", async () => {
    const { room } = await roomWithWitness();
    await connect(worker, room, withCapabilities("ann", ["serve"]));
    const bob = await connect(worker, room, withCapabilities("bob", ["presence"]));
    expect(bob.welcome.members).toMatchObject([{ user: "ann" }, { user: "bob" }, { user: "witness" }]);
  });
});

describe("a connection without 'history'", () => {
  it("without 'history', a connection gets no history and no replay, but gets live messages", async () => {
    const { room, witness } = await roomWithWitness();
    const { epoch } = witness.welcome;
    for (const [query, recovered] of [
      [{ epoch, offset: 0 }, false],
      [{ epoch, offset: 0, last: 1 }, false],
      [{ last: 1 }, null],
    ] as const) {
      const ann = await connect(worker, room, withCapabilities("ann", without("history"), { query }));
      expect(ann.welcome.recovered).toBe(recovered);
      expect((await ann.requestError({ type: "history" })).code).toBe("forbidden");
      expect((await ann.drain()).filter(isOf("message"))).toEqual([]);
      await witness.request({ type: "publish", data: "live" });
      expect(await ann.next("message")).toMatchObject({ data: "live" });
    }
  });
});
