// `npm create snug`: asks, writes the project, installs its packages and starts it.

import { readFileSync } from "node:fs";
import { Canceled, Failure } from "./failure.mjs";
import { authOf, hasAddress, readOptions, templateOf, usage } from "./options.mjs";
import { packageManager } from "./package-manager.mjs";
import { forwardSignals, run, serve } from "./processes.mjs";
import { writeProject } from "./project.mjs";
import { completeChoices } from "./questions.mjs";
import {
  bold,
  canAsk,
  dim,
  link,
  printBox,
  printDone,
  printFailure,
  printTitle,
  showStep,
} from "./terminal.mjs";

/** The exit code of a program that Ctrl-C has ended. */
const INTERRUPTED = 130;

/**
 * Runs the program, and returns its exit code.
 * @param {string[]} args
 */
export async function main(args) {
  try {
    const options = readOptions(args);
    if (options.help) console.log(usage);
    else if (options.version) console.log(version());
    else return await create(options);
    return 0;
  } catch (error) {
    if (error instanceof Canceled) {
      printFailure(error.message);
      return INTERRUPTED;
    }
    if (!(error instanceof Failure)) throw error;
    printFailure(error.message);
    return 1;
  }
}

const version = () => JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version;

/** @param {import("./options.mjs").Options} options */
async function create(options) {
  const manager = packageManager();
  printTitle(`create-snug ${version()}`);
  const choices = await completeChoices(options, canAsk && !options.yes);
  const template = templateOf(choices.template);
  const files = writeProject(choices, manager);
  printDone(
    `Wrote ${files.length} files to ${bold(choices.folder)}, with a new secret in ${template.secrets}`,
  );

  forwardSignals();
  const inFolder = `cd ${choices.folder}`;
  const isHere = choices.folder === ".";
  const dev = `${manager.name} run dev`;
  if (choices.install) await install(choices, manager);
  if (!choices.start) {
    const commands = [
      !isHere && inFolder,
      ...(choices.install ? [] : installCommands(choices, manager)),
      dev,
    ];
    printBox("Start it", commands.filter((command) => command !== false).map(bold));
    printBox("Then", nextSteps(choices, manager));
    return 0;
  }

  const step = showStep(`Starting: ${dev}`);
  try {
    return await serve(dev, choices.path, template.ready, (output) => {
      step.done(`Started: ${dev}`);
      printBox("Running", addresses(choices, output));
      printBox("Next", nextSteps(choices, manager));
      const again = isHere ? dev : `${inFolder} && ${dev}`;
      console.log(`${dim("Press Ctrl-C to stop. To start it again:")} ${again}\n`);
    });
  } catch (error) {
    step.failed(`Not started: ${dev}`);
    throw withAdvice(error, [!isHere && inFolder, dev]);
  }
}

/**
 * Installs the packages of a project.
 * @param {import("./questions.mjs").Choices} choices
 * @param {import("./package-manager.mjs").PackageManager} manager
 */
async function install(choices, manager) {
  const commands = installCommands(choices, manager);
  for (const [index, command] of commands.entries()) {
    const step = showStep(`Installing: ${command}`);
    try {
      await run(command, choices.path);
    } catch (error) {
      step.failed(`Not installed: ${command}`);
      throw withAdvice(error, [
        choices.folder !== "." && `cd ${choices.folder}`,
        ...commands.slice(index),
        `${manager.name} run dev`,
      ]);
    }
    step.done(`Installed: ${command}`);
  }
}

/**
 * Returns the commands that install the packages of a project, in its folder.
 * @param {import("./questions.mjs").Choices} choices
 * @param {import("./package-manager.mjs").PackageManager} manager
 */
function installCommands({ template }, { name }) {
  const { site } = templateOf(template);
  return [`${name} install`, ...(site ? [`composer install --working-dir ${site}`] : [])];
}

/**
 * Adds to a failure how to continue when its cause is gone.
 * @param {unknown} error
 * @param {(string | false)[]} commands
 */
function withAdvice(error, commands) {
  if (!(error instanceof Failure)) return error;
  const lines = commands.filter((command) => command !== false).map((command) => `  ${command}`);
  return new Failure(
    `${error.message}\n\nThe project is complete. Solve this, then continue with:\n${lines.join("\n")}`,
  );
}

/**
 * Returns the addresses of a running project.
 * @param {import("./questions.mjs").Choices} choices
 * @param {string} output
 */
function addresses({ template: name, pages }, output) {
  const { ready, worker, pages: servesPages } = templateOf(name);
  /** @param {RegExp | undefined} line */
  const addressIn = (line) => line?.exec(output)?.[1]?.replace(/\/$/, "");
  const [first] = ready;
  const app = addressIn(first);
  const server = addressIn(worker) ?? app;
  const hasChat = pages || worker || servesPages === "never";
  const lines = [
    hasChat && ["Chat", `${app}/`, "open it in two tabs"],
    pages && ["Inspector", `${server}/inspect`, "shows every frame on the wire"],
    ["Server", `${server}`, ""],
  ].filter((line) => Array.isArray(line));
  const width = Math.max(...lines.map(([, address = ""]) => address.length));
  return lines.map(([title = "", address = "", hint = ""]) => {
    const space = " ".repeat(hint ? width - address.length + 3 : 0);
    return `${title.padEnd(11)}${link(address)}${space}${dim(hint)}`;
  });
}

/**
 * Returns what to do with a new project.
 * @param {import("./questions.mjs").Choices} choices
 * @param {import("./package-manager.mjs").PackageManager} manager
 */
function nextSteps({ template, auth, authUrl }, { name, exec }) {
  const { setting } = authOf(auth);
  const begin = `Begin with ${bold(templateOf(template).edit)}; README.md explains the rest.`;
  const signIn =
    setting && hasAddress(template, auth)
      ? authUrl
        ? []
        : [`Before you deploy, set ${bold(setting)} in wrangler.jsonc.`]
      : auth === "sessions"
        ? [`Before you deploy, complete ${bold("findUser")} in src/hooks.ts.`]
        : [];
  const secret = auth === "jwt" ? [bold(`${exec} wrangler secret put JWT_SECRET`)] : [];
  return [begin, ...signIn, "", "Deploy it to Cloudflare:", ...secret, bold(`${name} run deploy`)];
}
