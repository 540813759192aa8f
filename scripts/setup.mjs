// `npm run setup`: only the set-up that every other script begins with.

import { main } from "./lib/run.mjs";
import { setUp } from "./lib/set-up.mjs";

await main(setUp);
