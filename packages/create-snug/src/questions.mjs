// Completes the choices of the command line: by questions on a terminal, or else by defaults.

import { confirm, isCancel, select, text } from "@clack/prompts";
import { Canceled, Failure } from "./failure.mjs";
import { DEFAULT_FOLDER, folderProblem, newFolder } from "./folder.mjs";
import { addressProblem, authOf, hasAddress, templateOf } from "./options.mjs";
import { AUTHS, TEMPLATES } from "./templates.mjs";

/**
 * @typedef {import("./project.mjs").Plan & { folder: string, install: boolean, start: boolean }} Choices
 */

/**
 * Returns all choices. Asks for those that the command line leaves open if `asks` is true.
 * @param {import("./options.mjs").Options} options
 * @param {boolean} asks
 * @returns {Promise<Choices>}
 */
export async function completeChoices(options, asks) {
  const folder = options.folder ?? (asks ? await askFolder() : DEFAULT_FOLDER);
  const { path, name } = newFolder(folder);
  const template = options.template ?? (asks ? await askTemplate() : "worker");
  const { signsTokens, pages: servesPages } = templateOf(template);
  checkCombination(template, options);

  const auth = options.auth ?? (asks && !signsTokens ? await askAuth() : "jwt");
  const authUrl =
    options.authUrl ?? (asks && hasAddress(template, auth) ? await askAddress(auth) : undefined);
  const pages =
    servesPages === "optional"
      ? (options.pages ?? (asks ? await askPages() : true))
      : servesPages === "always";
  const install = options.install ?? (asks && options.start !== true ? await askInstall(options) : true);
  return {
    folder,
    path,
    name,
    template,
    auth,
    authUrl,
    pages,
    install,
    start: install && options.start !== false,
  };
}

/**
 * Fails if an option does not apply to the template or to the way to sign in.
 * @param {string} template
 * @param {import("./options.mjs").Options} options
 */
export function checkCombination(template, { auth, authUrl, pages }) {
  const { signsTokens, pages: servesPages } = templateOf(template);
  if (signsTokens && auth && auth !== "jwt")
    throw new Failure(
      `--auth ${auth} does not apply to the template ${template}, which signs its tokens itself: leave it out, or choose the template worker`,
    );
  if (authUrl && !hasAddress(template, auth ?? "jwt"))
    throw new Failure(
      auth === "sessions"
        ? `--auth-url does not apply to the template ${template}: its function \`auth\` in src/hooks.ts names the user`
        : "--auth-url does not apply to --auth jwt: it is for jwks and sessions",
    );
  if (pages === false && servesPages === "always")
    throw new Failure(
      `--no-pages does not apply to the template ${template}, which loads its client from the Worker's pages: leave it out`,
    );
  if (pages === true && servesPages === "never")
    throw new Failure(
      `--pages does not apply to the template ${template}, whose own app is the page: leave it out`,
    );
}

const askFolder = () =>
  answered(
    text({
      message: "In which folder?",
      placeholder: DEFAULT_FOLDER,
      defaultValue: DEFAULT_FOLDER,
      validate: (folder = "") => folderProblem(folder || DEFAULT_FOLDER),
    }),
  );

const askTemplate = () => answered(select({ message: "What do you build?", options: listed(TEMPLATES) }));

const askAuth = () => answered(select({ message: "How do your users sign in?", options: listed(AUTHS) }));

/** @param {string} auth */
async function askAddress(auth) {
  const { address = "" } = authOf(auth);
  const message =
    auth === "jwks"
      ? "At which address is the JWK Set? Leave it empty to set it later."
      : "Which address of your server names the user? Leave it empty to set it later.";
  const given = await answered(
    text({ message, placeholder: address, validate: (url) => (url ? addressProblem(url) : undefined) }),
  );
  return given || undefined;
}

const askPages = () =>
  answered(
    confirm({
      message: "Serve the chat page and the inspector?",
      active: "Yes",
      inactive: "No, only the server",
    }),
  );

/** @param {import("./options.mjs").Options} options */
const askInstall = ({ start }) =>
  answered(
    confirm({
      message: start === false ? "Install the packages now?" : "Install the packages and start it now?",
    }),
  );

/**
 * Returns the answer to a question.
 * @template Answer
 * @param {Promise<Answer>} question
 * @returns {Promise<Exclude<Answer, symbol>>}
 */
async function answered(question) {
  const answer = await question;
  if (isCancel(answer)) throw new Canceled("Canceled: nothing was written");
  return /** @type {Exclude<Answer, symbol>} */ (answer);
}

/**
 * Converts a table to the options of a list.
 * @param {Record<string, { title: string, hint: string }>} table
 */
const listed = (table) =>
  Object.entries(table).map(([value, { title, hint }]) => ({ value, label: title, hint }));
