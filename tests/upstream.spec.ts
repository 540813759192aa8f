// The faults of the runtime in docs/upstream still exist. If a test fails, the installed runtime may have fixed one.

import { describe, expect, it } from "vitest";
import { canShiftClock, reproduce as setClockBack } from "../docs/upstream/clock-set-back.mjs";
import { reproduce as loseDescriptors } from "../docs/upstream/lost-descriptor.mjs";

describe("the runtime", () => {
  it.skipIf(process.platform !== "linux")(
    "loses the descriptor of a client that closes and resets, until the object is aborted",
    { timeout: 30_000 },
    async () => {
      const rows = await loseDescriptors({ objects: ["AnswersLater"], idleMs: 0 });
      expect(rows.map(({ client, ended, aborted }) => [client, ended > 0, aborted])).toEqual([
        ["close, then end", false, 0],
        ["reset", false, 0],
        ["close, then reset", true, 0],
      ]);
    },
  );

  it.skipIf(!canShiftClock)(
    "runs no timers and alarms of an object that was in memory when the clock was set back",
    { timeout: 30_000 },
    async () => {
      const rows = await setClockBack([
        { clock: "unchanged", seconds: 0, readAtMs: [2_000] },
        { clock: "an hour back", seconds: -3_600, readAtMs: [2_000] },
      ]);
      expect(rows.map(({ clock, object, timer, alarm }) => [clock, object, timer, alarm])).toEqual([
        ["unchanged", "before the change", true, true],
        ["unchanged", "after the change", true, true],
        ["unchanged", "again, by ctx.abort() after the change", true, true],
        ["an hour back", "before the change", false, false],
        ["an hour back", "after the change", true, true],
        ["an hour back", "again, by ctx.abort() after the change", true, true],
      ]);
    },
  );
});
