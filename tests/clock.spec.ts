// A clock that is set back: the runtime stops the clock and the timers of each object in memory, see docs/upstream.

import { expect, it } from "vitest";
import { canShiftClock, withClock } from "../docs/upstream/clock-set-back.mjs";
import { connect } from "./support/client.js";
import { newRoom } from "./support/join-request.js";
import { startWorker } from "./support/worker.js";

it.skipIf(!canShiftClock)(
  "a room whose clock has stopped restarts when users join, and then delivers messages again",
  { timeout: 60_000 },
  async () => {
    await withClock(async (shift) => {
      await using worker = await startWorker();
      const room = newRoom();
      const claims = { exp: Math.floor(Date.now() / 1000) + 86_400, iat: undefined };
      const ann = await connect(worker, room, { user: "ann", claims });
      const { offset } = await ann.request({ type: "publish", data: "before" });
      shift(-3_600);
      // The first join finds that the clock stands still, and a later one that it still does.
      while (!ann.isClosed) {
        const bob = await connect(worker, room, { user: "bob", claims }).catch(() => undefined);
        bob?.drop();
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      const back = await connect(worker, room, { user: "ann", claims });
      expect(back.welcome.offset).toBe(offset);
      for (let more = 1; more <= 3; more++) {
        const ack = await back.request({ type: "publish", data: more });
        expect(ack.offset).toBe(offset + more);
      }
      expect(worker.log()).toContain("the object's clock has stopped");
    });
  },
);
