// Edits, appends, deletions, reactions, threads and reading with real storage. The core's tests have the rules.

import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { httpRequest } from "./support/admission.js";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { roomDatabases } from "./support/storage.js";
import { token } from "./support/tokens.js";
import { startWorker } from "./support/worker.js";

async function newStorage(): Promise<string> {
  const storage = await mkdtemp(join(tmpdir(), "snug-"));
  onTestFinished(() => rm(storage, { recursive: true }));
  return storage;
}

/** Returns all rows of all tables of the rooms, as one text. */
async function liveRows(storage: string): Promise<string> {
  let text = "";
  for (const room of await roomDatabases(storage)) {
    const tables = room.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    for (const { name } of tables) {
      // The runtime's own tables have no data of ours.
      if (!String(name).startsWith("_cf_")) {
        text += JSON.stringify(room.prepare(`SELECT * FROM "${name}"`).all());
      }
    }
    room.close();
  }
  return text;
}

/** A receiver of webhooks that refuses them all, so that the events wait. */
async function startRefusing(): Promise<string> {
  const server = createServer((_, response) => response.writeHead(503).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

it("what was edited or deleted is in no row, and everybody reads the same, also after hibernation and a restart", async () => {
  const [storage, room] = [await newStorage(), newRoom()];
  const settings = {
    WEBHOOK_URL: await startRefusing(),
    WEBHOOK_SECRET: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    WEBHOOK_EVENTS: "*",
  };
  const expected = [
    { offset: 1, user: "ann", data: { text: "one, changed" }, version: 2 },
    { offset: 2, user: "bob", deleted: true, version: 3 },
    { offset: 3, user: "ann", data: "three and more", version: 3 },
  ];
  {
    await using worker = await startWorker(settings, storage);
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await ann.request({ type: "publish", data: { text: "first secret" } });
    await bob.request({ type: "publish", data: "second secret" });
    await ann.request({ type: "publish", data: "three" });
    await worker.hibernate(room);
    const edit = await ann.request({ type: "edit", of: 1, data: expected[0]?.data, if_version: 1 });
    expect(edit).toMatchObject({ type: "ack", offset: 4, version: 2 });
    await bob.request({ type: "edit", of: 2, data: "third secret" });
    await ann.request({ type: "append", of: 3, text: " and" });
    await worker.hibernate(room);
    await ann.request({ type: "append", of: 3, text: " more" });
    const refused = await ann.requestError({ type: "delete", of: 2 });
    expect(refused).toMatchObject({ type: "error", code: "forbidden" });
    expect(await bob.request({ type: "delete", of: 2 })).toMatchObject({ offset: 8, version: 3 });
    const { messages } = await ann.request({ type: "history" });
    expect(messages.slice(0, 3)).toMatchObject(expected);
  }
  const rows = await liveRows(storage);
  expect(rows).toContain("three and more");
  expect(rows).not.toContain("second secret");
  expect(rows).not.toContain("third secret");
  // The event of an edited message that waits for the back end still has the earlier text.
  expect(rows.split("first secret")).toHaveLength(2);
  await using worker = await startWorker(settings, storage);
  const cho = await connect(worker, room, { user: "cho" });
  const { messages } = await cho.request({ type: "history" });
  expect(messages.slice(0, 3)).toMatchObject(expected);
  expect(messages.slice(3)).toMatchObject([
    { offset: 4, of: 1, action: "edit" },
    { offset: 5, of: 2 },
    { offset: 6, of: 3 },
    { offset: 7, of: 3, data: "three and more" },
    { offset: 8, of: 2, action: "delete" },
  ]);
});

// The database looks for up to 4 messages in the events that wait, and reads all of these for more.
it.each([4, 5])(
  "the texts of %d messages that are deleted at once are in no event that waits",
  async (count) => {
    const [storage, room] = [await newStorage(), newRoom()];
    const WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const settings = { WEBHOOK_URL: await startRefusing(), WEBHOOK_SECRET, WEBHOOK_EVENTS: "*" };
    {
      await using worker = await startWorker(settings, storage);
      const ann = await connect(worker, room);
      const offsets = Array.from({ length: count }, (_, index) => index + 1);
      for (const of of offsets) await ann.request({ type: "publish", data: `secret ${of}` });
      await ann.request({ type: "publish", data: "kept", mentions: ["bob"] });
      await ann.request({ type: "edit", of: 1, data: "another secret" });
      ann.send(...offsets.map((of) => ({ type: "delete", id: `${of}`, of })));
      for (const of of offsets) await ann.next("ack", ({ id }) => id === `${of}`);
    }
    const rows = await liveRows(storage);
    expect(rows).not.toContain("secret");
    // The message, its event, and the one about the mention.
    expect(rows.split("kept")).toHaveLength(4);
  },
);

it("a room still starts after a short message was deleted whose event waits", async () => {
  const [storage, room] = [await newStorage(), newRoom()];
  const WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const settings = { WEBHOOK_URL: await startRefusing(), WEBHOOK_SECRET, WEBHOOK_EVENTS: "*" };
  const headers = { Authorization: `Bearer ${await token({ rooms: { "*": ["serve"] } })}` };
  {
    await using worker = await startWorker(settings, storage);
    const url = `${worker.origin}/v1/rooms/${room}/messages`;
    expect((await httpRequest(url, headers, "POST", '{"data":1}')).status).toBe(201);
    expect((await httpRequest(`${url}/1`, headers, "DELETE")).status).toBe(200);
  }
  await using worker = await startWorker(settings, storage);
  const { status, body } = await httpRequest(`${worker.origin}/v1/rooms/${room}`, headers);
  expect(status).toBe(200);
  expect(JSON.parse(body)).toMatchObject({ offset: 2, webhooks: { pending: 2 } });
});

it("the back end edits, appends and deletes over HTTP", async () => {
  await using worker = await startWorker();
  const room = newRoom();
  const ann = await connect(worker, room);
  await ann.request({ type: "publish", data: "a" });
  const jwt = await token({ rooms: { "*": ["serve", "history"] } });
  const call = async (method: string, path: string, body?: unknown, ifMatch?: string) => {
    const headers: Record<string, string> = { Authorization: `Bearer ${jwt}` };
    if (ifMatch) headers["If-Match"] = ifMatch;
    const url = `${worker.origin}/v1/rooms/${room}/messages/${path}`;
    const response = await httpRequest(
      url,
      headers,
      method,
      body === undefined ? undefined : JSON.stringify(body),
    );
    return { status: response.status, body: JSON.parse(response.body) };
  };
  const edited = await call("PATCH", "1", { data: "b", user: "bot" }, '"1"');
  expect(edited).toMatchObject({ status: 200, body: { offset: 2, version: 2 } });
  expect(await ann.next("change")).toMatchObject({ of: 1, user: "bot", action: "edit", data: "b" });
  const conflict = await call("PATCH", "1", { data: "c" }, '"1"');
  expect(conflict).toMatchObject({ status: 412, body: { code: "conflict", version: 2 } });
  expect((await call("POST", "1/append", { text: "!" })).status).toBe(200);
  expect(await ann.next("change")).toMatchObject({ action: "append", text: "!" });
  expect((await call("DELETE", "1?reason=rude")).status).toBe(200);
  expect(await ann.next("change")).toMatchObject({ action: "delete", reason: "rude" });
  expect(await call("DELETE", "1")).toMatchObject({ status: 404, body: { code: "not_found" } });
  expect(await call("PATCH", "9007199254740991", { data: 1 })).toMatchObject({ status: 404 });
  expect(await call("PATCH", "x", { data: 1 })).toMatchObject({ status: 400 });
  expect(await call("GET", "1")).toMatchObject({ status: 405 });
});

it("what a user has said is read and deleted over HTTP, page by page, and its text is nowhere afterwards", async () => {
  const [storage, room] = [await newStorage(), newRoom()];
  const WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const settings = { WEBHOOK_URL: await startRefusing(), WEBHOOK_SECRET, WEBHOOK_EVENTS: "*" };
  const serve = await token({ sub: "app", rooms: { "*": ["serve"] } });
  {
    await using worker = await startWorker(settings, storage);
    const url = `${worker.origin}/v1/rooms/${room}/messages`;
    const call = async (method: string, query: string, jwt = serve, body?: unknown) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const response = await httpRequest(`${url}${query}`, { Authorization: `Bearer ${jwt}` }, method, text);
      return { status: response.status, body: JSON.parse(response.body) };
    };
    // A room that was never used stays unused.
    const unused = { epoch: null, messages: [], more: false };
    expect(await call("GET", "?user=ann")).toEqual({ status: 200, body: unused });
    const nothing = { epoch: null, deleted: 0, more: false };
    expect(await call("DELETE", "?user=ann")).toEqual({ status: 200, body: nothing });
    expect(await roomDatabases(storage)).toEqual([]);

    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await ann.request({ type: "publish", data: "secret, and edited" });
    await ann.request({ type: "edit", of: 1, data: "another secret" });
    await bob.request({ type: "publish", data: 'kept: "user":"ann"' });
    const many = Array.from({ length: 100 }, (_, index) => ({ user: "ann", data: `secret ${index}` }));
    expect((await call("POST", "", serve, many)).status).toBe(201);
    await worker.hibernate(room);

    const page = await call("GET", "?user=ann&limit=100");
    expect(page.body).toMatchObject({ more: true, cursor: 2 });
    expect(page.body.messages).toHaveLength(100);
    const rest = await call("GET", `?user=ann&limit=100&before=${page.body.cursor}`);
    expect(rest.body).toMatchObject({ messages: [{ offset: 1, data: "another secret" }], more: false });
    expect(rest.body).not.toHaveProperty("cursor");

    await bob.drain();
    const first = await call("DELETE", "?user=ann&reason=left");
    expect(first).toMatchObject({ status: 200, body: { deleted: 100, more: true, cursor: 2 } });
    const change = { action: "delete", user: "app", reason: "left" };
    expect(await bob.next("change", ({ of }) => of === 4)).toMatchObject(change);
    const second = await call("DELETE", `?user=ann&reason=left&before=${first.body.cursor}`);
    expect(second.body).toMatchObject({ deleted: 1, more: false });
    expect(await bob.next("change", ({ of }) => of === 1)).toMatchObject({ ...change, version: 3 });
    expect((await call("DELETE", "?user=ann&before=4")).body).toMatchObject({ deleted: 0, more: false });
    const { messages } = await bob.request({ type: "history", after: 0, limit: 4 });
    expect(messages).toMatchObject([
      { deleted: true },
      {},
      { data: 'kept: "user":"ann"' },
      { deleted: true },
    ]);

    for (const [method, query, named] of [
      ["DELETE", "", "'user' is missing"],
      ["DELETE", "?reason=x", "'user' is missing"],
      ["DELETE", "?user=", "'user' must be a user id"],
      ["DELETE", "?user=bob&after=1", "'after' is unknown"],
      ["GET", "?user=", "'user' must be a user id"],
      ["GET", "?user=bob&re=1", "'re' and 'user'"],
    ] as const) {
      const { status, body } = await call(method, query);
      expect([status, body.code], query).toEqual([400, "bad_request"]);
      expect(body.detail, query).toContain(named);
    }
    const member = await token({ rooms: { "*": ["history", "publish", "delete", "delete_any"] } });
    for (const method of ["GET", "DELETE"]) {
      const refused = await call(method, "?user=bob", member);
      expect(refused).toMatchObject({ status: 403, body: { code: "room_forbidden" } });
    }
    expect((await call("GET", "?user=bob")).body.messages).toHaveLength(1);
  }
  const rows = await liveRows(storage);
  expect(rows).not.toContain("secret");
  // The message, and its event.
  expect(rows.split("kept")).toHaveLength(3);
});

it("reactions are stored with their message, also after hibernation and a restart, and end with it", async () => {
  const [storage, room] = [await newStorage(), newRoom()];
  const summary = { "👍": { count: 2, users: ["bob", "ann"] }, "🎉": { count: 1, users: ["bob"] } };
  {
    await using worker = await startWorker({}, storage);
    const ann = await connect(worker, room);
    const bob = await connect(worker, room, { user: "bob" });
    await ann.request({ type: "publish", data: "one" });
    await ann.request({ type: "publish", data: "two" });
    expect(await bob.request({ type: "react", of: 1, name: "👍" })).toMatchObject({ offset: 3 });
    await worker.hibernate(room);
    await ann.request({ type: "react", of: 1, name: "👍" });
    await bob.request({ type: "react", of: 1, name: "🎉" });
    await bob.request({ type: "react", of: 2, name: "gone" });
    const again = await bob.request({ type: "react", of: 1, name: "🎉" });
    expect(again).toMatchObject({ offset: 5, duplicate: true });
    await ann.next("reactions", ({ offset }) => offset === 5);
  }
  {
    await using worker = await startWorker({}, storage);
    const ann = await connect(worker, room);
    await ann.request({ type: "delete", of: 2 });
    const { messages } = await ann.request({ type: "history" });
    expect(messages).toMatchObject([
      { offset: 1, data: "one", reactions: summary },
      { offset: 2, deleted: true },
      { offset: 3, of: 1 },
      { offset: 4, of: 1 },
      { offset: 5, of: 1, summary },
      { offset: 6, of: 2 },
      { offset: 7, of: 2, action: "delete" },
    ]);
    expect(messages[1]).not.toHaveProperty("reactions");
  }
  expect(await liveRows(storage)).not.toContain("gone");
});

it("a thread is read as it is now, also after hibernation", async () => {
  const [storage, room] = [await newStorage(), newRoom()];
  await using worker = await startWorker({}, storage);
  const ann = await connect(worker, room);
  const bob = await connect(worker, room, { user: "bob" });
  await ann.request({ type: "publish", data: "root" });
  await bob.request({ type: "publish", data: "first", re: 1 });
  expect(await ann.next("change")).toMatchObject({ of: 1, action: "replies", replies: 1, last_reply: 2 });
  await worker.hibernate(room);
  await ann.request({ type: "publish", data: "second", re: 2 });
  await ann.request({ type: "edit", of: 4, data: "second, changed" });
  await bob.request({ type: "delete", of: 2 });
  await worker.hibernate(room);
  const { messages, more } = await ann.request({ type: "history", re: 1 });
  expect(more).toBe(false);
  expect(messages).toMatchObject([
    { offset: 2, re: 1, deleted: true },
    { offset: 4, re: 1, data: "second, changed", version: 2 },
  ]);
  const all = await ann.request({ type: "history" });
  expect(all.messages[0]).toMatchObject({ data: "root", replies: 1, last_reply: 4 });
  const headers = { Authorization: `Bearer ${await token({ rooms: { "*": ["history"] } })}` };
  const { body } = await httpRequest(`${worker.origin}/v1/rooms/${room}/messages?re=1&limit=1`, headers);
  expect(JSON.parse(body)).toMatchObject({ messages: [{ offset: 4 }], more: true });
});

it("a user's position is kept, and what is unread is counted, also after hibernation and a restart", async () => {
  const [storage, room] = [await newStorage(), newRoom()];
  const bob = { user: "bob" };
  {
    await using worker = await startWorker({}, storage);
    const ann = await connect(worker, room);
    for (const data of [1, 2, 3]) await ann.request({ type: "publish", data });
    await ann.request({ type: "publish", data: 4, mentions: ["bob"] });
    const phone = await connect(worker, room, bob);
    expect(phone.welcome).toMatchObject({ read: 0, unread: 4, mentions: 1 });
    const desktop = await connect(worker, room, bob);
    expect(await phone.request({ type: "read", offset: 2 })).toMatchObject({ read: 2 });
    expect(await desktop.next("read")).toEqual({ type: "read", user: "bob", offset: 2 });
    await worker.hibernate(room);
    await ann.request({ type: "delete", of: 3 });
    const tablet = await connect(worker, room, bob);
    expect(tablet.welcome).toMatchObject({ read: 2, unread: 1, mentions: 1 });
  }
  await using worker = await startWorker({}, storage);
  const later = await connect(worker, room, bob);
  expect(later.welcome).toMatchObject({ read: 2, unread: 1, mentions: 1 });
  const claims = { rooms: { "*": ["receive", "presence", "receipts"] } };
  const moe = await connect(worker, room, { user: "moe", claims });
  expect(moe.welcome.members).toMatchObject([{ user: "bob", read: 2 }, { user: "moe" }]);
});
