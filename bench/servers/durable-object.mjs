// The smallest possible room on a Durable Object: no framework, no authentication, no storage.

import { bundled, runWorker } from "./worker.mjs";

export const start = async () => runWorker(await bundled("bench/workers/durable-object.js"), {});
