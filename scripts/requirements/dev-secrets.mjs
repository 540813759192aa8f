// The secrets for development, in .dev.vars, which wrangler reads.

import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { inRoot } from "../lib/paths.mjs";

const file = inRoot(".dev.vars");

/** Returns the value of JWT_SECRET in .dev.vars, if it is set. */
export function jwtSecret() {
  return existsSync(file) ? parseEnv(readFileSync(file, "utf8")).JWT_SECRET : undefined;
}

/** @type {import("../lib/setup.mjs").Requirement} */
export const devSecrets = {
  isInstalled: () => Boolean(jwtSecret()),

  async install() {
    // Text rather than bytes, because every JWT library accepts it.
    const line = `JWT_SECRET="${randomBytes(32).toString("base64url")}"\n`;
    // Appends: the file may contain other settings, and its last line may lack a line break.
    const before = existsSync(file) ? readFileSync(file, "utf8") : "";
    appendFileSync(file, /[^\n]$/.test(before) ? `\n${line}` : line, { mode: 0o600 });
    console.error("✓ JWT_SECRET: generated, in .dev.vars");
  },
};
