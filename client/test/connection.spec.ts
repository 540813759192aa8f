// A connection's deadlines on a scripted socket and clock: a slow network is waited for, a dead one is not.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "../src/connection.js";

const TIMEOUT_MS = 10_000;

/** A socket whose network transmits as many bytes as the test says. */
class ScriptedSocket {
  readyState = 1;
  bufferedAmount = 0;
  onopen?: () => void;
  onmessage?: ((event: { data: string }) => void) | null;
  send(frame: string) {
    this.bufferedAmount += frame.length;
  }
  close() {
    this.readyState = 3;
  }
  transmit(bytes: number) {
    this.bufferedAmount = Math.max(0, this.bufferedAmount - bytes);
  }
}

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance", "Date"],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Returns an open connection, its socket, and what it has reported as lost. */
function open() {
  const socket = new ScriptedSocket();
  const losses: number[] = [];
  const connection = new Connection(socket as unknown as WebSocket, TIMEOUT_MS, {
    push: () => {},
    lost: () => losses.push(performance.now()),
  });
  return { socket, connection, losses };
}

/** The same after the welcome. */
function welcomed() {
  const opened = open();
  opened.socket.onopen?.();
  opened.socket.onmessage?.({ data: '{"type":"welcome"}' });
  return opened;
}

describe("a connection", () => {
  it("waits for a long frame while any of it is transmitted, whatever was sent before", () => {
    const { socket, connection, losses } = welcomed();
    for (const [name, frame] of [
      [1, "a short frame"],
      ["publish", "x".repeat(500_000)],
    ] as const) {
      connection.expect(name);
      connection.send(frame);
    }
    // A few bytes at a time, with pauses that are shorter than the timeout.
    while (socket.bufferedAmount > 0) {
      vi.advanceTimersByTime(7_000);
      socket.transmit(50_000);
    }
    vi.advanceTimersByTime(TIMEOUT_MS - 1);
    expect(losses).toEqual([]);
    connection.settle(1);
    connection.settle("publish");
    vi.advanceTimersByTime(10 * TIMEOUT_MS);
    expect(losses).toEqual([]);
  });

  it("is lost if a long frame stops moving", () => {
    const { socket, connection, losses } = welcomed();
    connection.expect("publish");
    connection.send("x".repeat(500_000));
    for (let second = 0; second < 60; second++) {
      vi.advanceTimersByTime(1_000);
      socket.transmit(1_000);
    }
    const movedAt = performance.now();
    vi.advanceTimersByTime(TIMEOUT_MS - 1);
    expect(losses).toEqual([]);
    // The last bytes are noticed a quarter of the timeout later at the latest.
    vi.advanceTimersByTime(TIMEOUT_MS / 4 + 1);
    expect(losses).toHaveLength(1);
    expect(losses[0]).toBeGreaterThanOrEqual(movedAt + TIMEOUT_MS);
  });

  it("is lost if a reply does not arrive although everything was transmitted", () => {
    const { socket, connection, losses } = welcomed();
    connection.expect("publish");
    connection.send("short");
    socket.transmit(5);
    // Other replies and later frames change nothing.
    for (let second = 1; second < 10; second++) {
      vi.advanceTimersByTime(1_000);
      connection.expect(second);
      connection.settle(second);
      expect(losses).toEqual([]);
    }
    vi.advanceTimersByTime(TIMEOUT_MS / 2);
    expect(losses).toHaveLength(1);
  });

  it.each([-3_600_000, 3_600_000])("times out while opening, if the clock is set by %i ms", (ms) => {
    const { losses } = open();
    vi.setSystemTime(Date.now() + ms);
    vi.advanceTimersByTime(TIMEOUT_MS - 1);
    expect(losses).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(losses).toHaveLength(1);
  });
});
