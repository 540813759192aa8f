// As little as a room on a Durable Object can be: no framework, no check, nothing stored.

import { bundled, runWorker } from "./worker.mjs";

export const start = async () => runWorker(await bundled("bench/workers/durable-object.js"), {});
