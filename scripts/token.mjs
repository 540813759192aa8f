// `npm run --silent token -- USER ROOM…`: prints a token for development, and nothing else, to standard output.

import { Failure, main } from "./lib/run.mjs";
import { setUp } from "./lib/set-up.mjs";
import { signToken } from "./lib/token.mjs";
import { npmPackages } from "./needs/npm-packages.mjs";
import { secrets } from "./needs/secrets.mjs";

const usage = `Usage: npm run --silent token -- USER ROOM...

Prints a token that lets USER into each ROOM for 24 hours, signed with JWT_SECRET of .dev.vars.

  USER  1 to 128 bytes, no control characters
  ROOM  1 to 128 of A-Z a-z 0-9 _ - . : @ ~
        a * at the end stands for any rest, a * alone for every room`;

await main(async () => {
  const words = process.argv.slice(2);
  if (words.includes("--help") || words.includes("-h")) return console.log(usage);
  const [user, ...rooms] = words;
  if (user === undefined || rooms.length === 0)
    throw new Failure(`a token needs a user and a room\n\n${usage}`);
  if (Buffer.byteLength(user) > 128 || !/^\P{Cc}+$/u.test(user)) {
    throw new Failure("the user must be 1 to 128 bytes without control characters");
  }
  const wrong = rooms.find((room) => !/^(?=.{1,128}$)[\w.:@~-]*\*?$/.test(room));
  if (wrong !== undefined) throw new Failure(`"${wrong}" is no room: see --help for what a room may be`);
  await setUp([npmPackages, secrets]);
  console.log(await signToken(user, rooms));
});
