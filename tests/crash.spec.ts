// Crashes: the runtime is killed under load, and all acked and delivered messages are still stored.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type Client, connect as connectDirectly } from "./support/client.js";
import { connectOverGateway } from "./support/gateway.js";
import { WAYS } from "./support/join-request.js";
import { messageRows } from "./support/storage.js";
import type { Message } from "./support/wire.js";
import { startWorker } from "./support/worker.js";

const settings = { MESSAGES_BURST: 100_000, MESSAGES_PER_SECOND: 100_000, PRESENCE_GRACE_MS: 0 };
const CRASHES = 8;
const WRITERS = ["ann", "bob", "cho"];
const WRITE_ONLY = { rooms: { "*": ["publish"] } };

it.each(WAYS)(
  "a crash loses no acked or delivered message, and clients resume, over %s",
  {
    timeout: 60_000,
  },
  async (way) => {
    const connect = way === "a gateway" ? connectOverGateway : connectDirectly;
    const storage = await mkdtemp(join(tmpdir(), "snug-"));
    onTestFinished(() => rm(storage, { recursive: true }));
    /** All acked or delivered messages, by offset. */
    const known = new Map<number, unknown>();
    const record = (offset: number, data: unknown) => {
      if (known.has(offset)) expect(known.get(offset)).toEqual(data);
      else known.set(offset, data);
    };
    let position: { epoch: string; offset: number } | undefined;

    for (let crash = 1; crash <= CRASHES; crash++) {
      const worker = await startWorker(settings, storage);
      const reader = await connect(worker, "flood", { user: "reader", query: position });
      const { epoch, offset: newest, recovered } = reader.welcome;
      if (position) expect({ epoch, recovered }).toEqual({ epoch: position.epoch, recovered: true });
      const received: Message[] = [];
      const receive = async () => {
        const message = await reader.next("message").catch(() => undefined);
        if (message) received.push(message);
        return message !== undefined;
      };

      const clients = await Promise.all(
        WRITERS.map((user) => connect(worker, "flood", { user, claims: WRITE_ONLY })),
      );
      const floods = clients.map((client, writer) => flood(client, `${crash}:${writer}`, record));
      while ((received.at(-1)?.offset ?? 0) < newest + 40 * crash) expect(await receive()).toBe(true);
      await worker.dispose();
      await Promise.all(floods);
      while (await receive());

      const first = received[0]?.offset ?? 0;
      expect(first).toBe((position?.offset ?? 0) + 1);
      expect(received.map(({ offset }) => offset)).toEqual(received.map((_, index) => first + index));
      for (const { offset, data } of received) record(offset, data);
      position = { epoch, offset: received.at(-1)?.offset ?? newest };
    }

    await using worker = await startWorker(settings, storage);
    const reader = await connect(worker, "flood", {
      user: "reader",
      query: { epoch: position?.epoch ?? "", offset: 0 },
    });
    expect(reader.welcome.recovered).toBe(true);
    const stored = new Map<number, unknown>();
    while (stored.size < reader.welcome.offset) {
      const { offset, data } = await reader.next("message");
      expect(offset).toBe(stored.size + 1);
      stored.set(offset, data);
    }
    for (const [offset, data] of known) expect(stored.get(offset)).toEqual(data);
    expect(new Set(stored.values()).size).toBe(stored.size);
    // Some rows contain several messages, so the crashes interrupted flushes.
    expect((await messageRows(storage)).length).toBeLessThan(stored.size);
  },
);

/** Publishes, eight messages at a time, until the connection is lost. Records the acked ones. */
async function flood(client: Client, name: string, record: (offset: number, data: unknown) => void) {
  let sent = 0;
  const lane = async () => {
    for (;;) {
      const data = `${name}:${++sent}`;
      const ack = await client.request({ type: "publish", data }).catch(() => undefined);
      if (!ack) return;
      record(ack.offset, data);
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
}
