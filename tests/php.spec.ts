// Runs the PHPUnit tests of the package in php/ against the built Worker, and reports each as a test.

import { createHmac, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe } from "vitest";
import { hasPhpPackages } from "./support/php.js";
import { PhpUnit, reportPackage } from "./support/phpunit.js";
import { inSeconds, SECRET } from "./support/tokens.js";
import { startWorker, type Worker } from "./support/worker.js";

/** Returns a webhook request as Snug sends it, signed with a random secret. */
function signedRequest() {
  const key = randomBytes(32);
  const [id, timestamp] = ["msg_node", `${inSeconds(0)}`];
  const event = { id: "1-1", seq: 1, type: "member.joined", time: Date.now(), user: "é 🦀", info: {} };
  const body = JSON.stringify({
    type: "room.events",
    timestamp: new Date().toISOString(),
    data: { room: "lobby", events: [event] },
  });
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return {
    secret: `whsec_${key.toString("base64")}`,
    body,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`,
    },
  };
}

describe.skipIf(!hasPhpPackages)("PHP package", () => {
  const phpunit = new PhpUnit(fileURLToPath(new URL("../php", import.meta.url)));
  const tests = hasPhpPackages ? phpunit.list() : [];
  const workers: Worker[] = [];

  beforeAll(async () => {
    const bytes = `base64url:${randomBytes(48).toString("base64url")}`;
    const registered = { issuer: "https://app.example", audience: "snug" };
    workers.push(
      await startWorker(),
      await startWorker({ JWT_SECRET: bytes, JWT_HMAC_ALGORITHM: "HS384" }),
      await startWorker({
        JWT_HMAC_ALGORITHM: "HS512",
        JWT_ISSUER: registered.issuer,
        JWT_AUDIENCE: registered.audience,
      }),
    );
    const [url, ...others] = workers.map(({ origin }) => origin);
    await phpunit.run({
      SNUG_URL: url,
      JWT_SECRET: SECRET,
      WORKERS: JSON.stringify({
        text: { url, secret: SECRET, algorithm: "HS256" },
        bytes: { url: others[0], secret: bytes, algorithm: "HS384" },
        addressed: { url: others[1], secret: SECRET, algorithm: "HS512", ...registered },
      }),
      SIGNED: JSON.stringify(signedRequest()),
    });
  }, 180_000);
  afterAll(() => Promise.all(workers.map((worker) => worker.dispose())));

  reportPackage(phpunit, tests, { tests: 80, files: 30 });
});
