// `npm run deploy`: checks the settings, then deploys the Worker. Arguments after `--` go to `wrangler deploy`.

import { spawnSync } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { settingsError } from "./lib/health.mjs";
import { npmTool, root } from "./lib/paths.mjs";
import { exitCode, Failure, main, runScript, start } from "./lib/run.mjs";

const usage = `Usage: npm run deploy [-- OPTION...]

Builds Snug, checks its settings and deploys it. Each OPTION goes to \`wrangler deploy\`.`;

/** wrangler's message about a Worker that does not exist. */
const UNKNOWN_WORKER = /Worker ".*" not found/;

const hmacSecret = () => randomBytes(48).toString("base64url");
const webhookSecret = () => `whsec_${randomBytes(32).toString("base64")}`;
const address = () => "https://example.com/";
const keySet = () =>
  JSON.stringify({ keys: [generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" })] });

/**
 * Valid values for settings that may be stored as secrets, whose values cannot be read. All others have defaults.
 * @type {Record<string, () => string>}
 */
const STAND_INS = {
  JWT_SECRET: hmacSecret,
  JWT_SECRET_PREVIOUS: hmacSecret,
  JWT_JWKS: keySet,
  JWKS_URL: address,
  AUTH_URL: address,
  WEBHOOK_SECRET: webhookSecret,
  WEBHOOK_SECRET_PREVIOUS: webhookSecret,
  WEBHOOK_URL: address,
  PUBLISH_URL: address,
};

await main(async () => {
  if (process.argv.includes("--help")) return console.log(usage);
  const built = await runScript("build.mjs");
  if (built !== 0) return built;
  await checkSettings(process.argv.slice(2));
  return exitCode(start(npmTool("wrangler"), ["deploy", ...process.argv.slice(2)], { stdio: "inherit" }));
});

/**
 * Fails if the deployed Worker would refuse every join because of a setting.
 * @param {string[]} args
 */
async function checkSettings(args) {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string", short: "c" },
      env: { type: "string", short: "e" },
      name: { type: "string" },
      var: { type: "string", multiple: true, default: [] },
    },
    strict: false,
  });
  const text = (/** @type {unknown} */ value) => (typeof value === "string" ? value : undefined);
  const [config, env, name] = [text(values.config), text(values.env), text(values.name)];
  // Imported here, because a fresh clone has no packages before the build.
  const { unstable_readConfig: readConfig } = await import("wrangler");
  const { vars, services, durable_objects, compatibility_date: date = "" } = readConfig({ config, env });
  const given = /** @type {string[]} */ (values.var).map((one) => one.split(/:(.*)/s));
  const names =
    secretNames({ config, env, name }) ?? Object.keys(STAND_INS).filter((one) => /SECRET/.test(one));
  const secrets = names.flatMap((one) => (STAND_INS[one] ? [[one, STAND_INS[one]()]] : []));
  const error = await settingsError(
    { ...Object.fromEntries(secrets), ...vars, ...Object.fromEntries(given) },
    date,
    {
      services: /** @type {{ binding: string }[]} */ (services ?? []).map(({ binding }) => binding),
      objects: /** @type {{ name: string }[]} */ (durable_objects.bindings).map(({ name }) => name),
    },
  );
  if (!error) return;
  throw new Failure(
    `${error}\n  Nothing was deployed. The settings are in wrangler.toml; \`npx wrangler secret put NAME\` sets a secret.`,
  );
}

/**
 * Returns the names of the Worker's secrets, or undefined if they cannot be read, for example offline.
 * @param {Record<string, string | undefined>} options
 */
function secretNames(options) {
  const given = Object.entries(options).flatMap(([name, value]) => (value ? [`--${name}`, value] : []));
  const args = ["secret", "list", "--format", "json", ...given];
  const { status, stdout, stderr } = spawnSync(npmTool("wrangler"), args, { cwd: root, encoding: "utf8" });
  if (status !== 0) return UNKNOWN_WORKER.test(stdout + stderr) ? [] : undefined;
  const secrets = /** @type {{ name: string }[]} */ (JSON.parse(stdout.slice(stdout.indexOf("["))));
  return secrets.map(({ name }) => name);
}
