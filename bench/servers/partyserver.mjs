// PartyServer, on the same runtime as Snug.

import { bundled, runWorker } from "./worker.mjs";

/** @param {{ JWT_SECRET?: string }} settings without a secret, clients join without authentication */
export const start = async (settings) => runWorker(await bundled("bench/workers/partyserver.js"), settings);
