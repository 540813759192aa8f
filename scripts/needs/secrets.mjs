// The secrets for development, in the file that wrangler reads them from.

import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { inRoot } from "../lib/paths.mjs";

const file = inRoot(".dev.vars");

/** The value of JWT_SECRET in .dev.vars. */
export function jwtSecret() {
  return existsSync(file) ? parseEnv(readFileSync(file, "utf8")).JWT_SECRET : undefined;
}

/** @type {import("../lib/set-up.mjs").Need} */
export const secrets = {
  isMet: () => Boolean(jwtSecret()),

  async meet() {
    // As text, which any JWT library takes as it is.
    const line = `JWT_SECRET="${randomBytes(32).toString("base64url")}"\n`;
    // Only ever appended to: the file may hold other settings, and its last line may have no end.
    const before = existsSync(file) ? readFileSync(file, "utf8") : "";
    appendFileSync(file, /[^\n]$/.test(before) ? `\n${line}` : line, { mode: 0o600 });
    console.error("✓ JWT_SECRET: made at random, in .dev.vars");
  },
};
