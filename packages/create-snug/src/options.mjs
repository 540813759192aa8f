// The command line.

import { parseArgs } from "node:util";
import { Failure } from "./failure.mjs";
import { AUTHS, TEMPLATES } from "./templates.mjs";

/**
 * The choices that the command line makes. The others are questions, or defaults.
 * @typedef {object} Options
 * @property {string} [folder]
 * @property {string} [template]
 * @property {string} [auth]
 * @property {string} [authUrl]
 * @property {boolean} [pages]
 * @property {boolean} [install]
 * @property {boolean} [start]
 * @property {boolean} [yes]
 * @property {boolean} [help]
 * @property {boolean} [version]
 */

export const usage = `Usage: npm create snug@latest [FOLDER] -- [OPTION...]

Creates a project with Snug, a realtime server (chat, presence) on Cloudflare Workers.
It asks for everything that no option answers. Without a terminal, it takes the defaults.

  --template NAME  ${Object.keys(TEMPLATES).join(", ")} (default: worker)
  --auth KIND      how users sign in: ${Object.keys(AUTHS).join(", ")} (default: jwt)
  --auth-url URL   with jwks, the address of the JWK Set; with sessions, the address that names the user
  --no-pages       leaves out the chat page and the inspector
  --no-install     does not install the packages, and so does not start
  --no-start       does not start the project
  -y, --yes        takes the default for everything that no option answers
  -h, --help       prints this text
  -v, --version    prints the version`;

const OPTIONS = /** @type {const} */ ({
  template: { type: "string" },
  auth: { type: "string" },
  "auth-url": { type: "string" },
  pages: { type: "boolean" },
  install: { type: "boolean" },
  start: { type: "boolean" },
  yes: { type: "boolean", short: "y" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
});

const SEE_HELP = "see: npm create snug@latest -- --help";

/**
 * Reads the command line.
 * @param {string[]} args
 * @param {Record<string, string | undefined>} [environment]
 * @returns {Options}
 */
export function readOptions(args, environment = process.env) {
  const { values, positionals } = parse(args);
  const { template, auth, "auth-url": authUrl, ...flags } = values;
  const [folder, another] = positionals;
  if (another !== undefined)
    throw new Failure(`there are two folders, '${folder}' and '${another}': name one; ${SEE_HELP}`);
  if (values.help || values.version) return flags;
  checkSwallowed(environment);
  if (template !== undefined) checkTemplate(template);
  if (auth !== undefined) checkAuth(auth);
  if (authUrl !== undefined) checkAddress(authUrl);
  return { folder, template, auth, authUrl, ...flags };
}

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true, allowNegative: true });
  } catch (error) {
    // Node explains what it does not know, and how to quote it, in several sentences.
    const [reason] = /** @type {Error} */ (error).message.split(/[.\n] ?/);
    throw new Failure(`${reason?.replace(/^U/, "u")}; ${SEE_HELP}`);
  }
}

/**
 * Fails if npm has taken an option for one of its own, as it does without `--` before it.
 * @param {Record<string, string | undefined>} environment
 */
function checkSwallowed(environment) {
  for (const name of ["template", "auth_url"]) {
    const value = environment[`npm_config_${name}`];
    if (value) {
      const option = `--${name.replace("_", "-")}`;
      throw new Failure(
        `npm has kept ${option} for itself: put \`--\` before the options, as in \`npm create snug@latest my-chat -- ${option} ${value}\``,
      );
    }
  }
}

/** @param {string} name */
function checkTemplate(name) {
  if (!Object.hasOwn(TEMPLATES, name))
    throw new Failure(`there is no template '${name}': choose ${listOf(Object.keys(TEMPLATES))}`);
}

/** @param {string} kind */
function checkAuth(kind) {
  if (!Object.hasOwn(AUTHS, kind))
    throw new Failure(`--auth cannot be '${kind}': choose ${listOf(Object.keys(AUTHS))}`);
}

/** @param {string[]} names */
const listOf = (names) => `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;

/** @param {string} text */
function checkAddress(text) {
  const problem = addressProblem(text);
  if (problem) throw new Failure(`--auth-url cannot be '${text}': ${problem}`);
}

/**
 * Returns what is wrong with an address for Snug, or undefined.
 * @param {string} text
 */
export function addressProblem(text) {
  const url = URL.parse(text);
  const isLocal = url?.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url?.protocol !== "https:" && !isLocal)
    return "it must begin with https://, or with http:// on this machine";
  return undefined;
}

/**
 * Returns a template by its name.
 * @param {string} name
 */
export function templateOf(name) {
  checkTemplate(name);
  return /** @type {import("./templates.mjs").Template} */ (TEMPLATES[name]);
}

/**
 * Returns a way to sign in by its name.
 * @param {string} kind
 */
export function authOf(kind) {
  checkAuth(kind);
  return /** @type {(typeof AUTHS)[string]} */ (AUTHS[kind]);
}

/**
 * Returns true if a project has the address of keys, or of an application that names users. The template
 * `worker-hooks` names them in a function.
 * @param {string} template
 * @param {string} auth
 */
export const hasAddress = (template, auth) =>
  auth === "jwks" || (auth === "sessions" && template !== "worker-hooks");
