// `npm run --silent token -- USER ROOM...`: prints a token for development to standard output, and nothing else.

import { Failure, main } from "./lib/run.mjs";
import { setUp } from "./lib/setup.mjs";
import { signToken } from "./lib/sign-token.mjs";
import { devSecrets } from "./requirements/dev-secrets.mjs";
import { npmPackages } from "./requirements/npm-packages.mjs";

const usage = `Usage: npm run --silent token -- USER ROOM...

Prints a token with which USER can join each ROOM for 24 hours, signed with JWT_SECRET in .dev.vars.

  USER  1 to 128 bytes without control characters
  ROOM  1 to 128 of the characters A-Z a-z 0-9 _ - . : @ ~
        "team:*" stands for every room that begins with "team:", and "*" for every room`;

await main(async () => {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) return console.log(usage);
  const [user, ...rooms] = args;
  if (user === undefined || rooms.length === 0)
    throw new Failure(`name a user and at least one room\n\n${usage}`);
  if (Buffer.byteLength(user) > 128 || !/^\P{Cc}+$/u.test(user)) {
    throw new Failure("USER must be 1 to 128 bytes without control characters");
  }
  const invalid = rooms.find((room) => !/^(?=.{1,128}$)[\w.:@~-]*\*?$/.test(room));
  if (invalid !== undefined) throw new Failure(`"${invalid}" is not a valid ROOM: see --help`);
  await setUp([npmPackages, devSecrets]);
  console.log(await signToken(user, rooms));
});
