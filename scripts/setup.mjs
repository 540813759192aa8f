// `npm run setup`: installs what the other scripts need. They also do this themselves.

import { main } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";

await main(setUp);
