// PartyServer on the same runtime.

import { bundled, runWorker } from "./worker.mjs";

/** @param {{ JWT_SECRET?: string }} settings without a secret, nobody is checked */
export const start = async (settings) => runWorker(await bundled("bench/workers/partyserver.js"), settings);
