// Writes a project: a template's files, with the user's choices.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { authOf, hasAddress, templateOf } from "./options.mjs";
import { withCommandsOf } from "./package-manager.mjs";

/**
 * The user's choices.
 * @typedef {object} Plan
 * @property {string} path the folder
 * @property {string} name the name of the Worker
 * @property {string} template
 * @property {string} auth
 * @property {string | undefined} authUrl
 * @property {boolean} pages
 */

/** The name of the project in each template. */
const NAME = "my-chat";

/** The line of a template's wrangler.jsonc that serves the pages, with its comment. */
const ASSETS = /^ *\/\/ The chat page at .*\n *"assets": .*\n/m;

/** The line of a template's wrangler.jsonc that shows how to write a setting. */
const EXAMPLE_OF_SETTINGS = /^ *\/\/ "vars": .*\n/m;

/** The line of a template's README about the pages. */
const ABOUT_PAGES = /^.*\/inspect`.*\n/m;

/** Files that git ignores in a project of any template. npm does not pack a file with this name, so it is written. */
const IGNORED = [
  "node_modules/",
  ".wrangler/",
  ".dev.vars*",
  "!.dev.vars.example",
  ".env*",
  "!.env.example",
  "dist/",
  ".next/",
  "next-env.d.ts",
  "vendor/",
  ".yarn/",
  "*.tsbuildinfo",
];

/** The content of .gitignore. */
export const gitignore = `${IGNORED.join("\n")}\n`;

/** Programs that pnpm may run after it has installed the packages. */
const PNPM_WORKSPACE = `allowBuilds:
  esbuild: true
  sharp: true
  workerd: true
`;

const YARN_SETTINGS = `# Wrangler reads the pages and the Wasm module from this folder.
nodeLinker: node-modules
`;

/**
 * Returns the folder of a template.
 * @param {string} template
 */
export const templateFolder = (template) =>
  fileURLToPath(new URL(`../templates/${template}`, import.meta.url));

/**
 * Writes a project. Returns the paths of its files.
 * @param {Plan} plan
 * @param {import("./package-manager.mjs").PackageManager} manager
 */
export function writeProject({ path, name, template, auth, authUrl, pages }, manager) {
  const { secrets } = templateOf(template);
  copyFolder(templateFolder(template), path);

  /**
   * @param {string} file
   * @param {(text: string) => string} change
   */
  const edit = (file, change) => {
    const at = join(path, file);
    if (existsSync(at)) writeFileSync(at, change(readFileSync(at, "utf8")));
  };
  /** @param {string} text */
  const named = (text) => text.replaceAll(NAME, name);
  edit("package.json", named);
  edit("README.md", (text) => {
    const document = withCommandsOf(named(text), manager);
    return pages ? document : document.replace(ABOUT_PAGES, "");
  });
  edit("wrangler.jsonc", (text) => {
    const configured = withAuth(named(text), template, auth, authUrl);
    return pages ? configured : configured.replace(ASSETS, "");
  });
  writeFileSync(join(path, ".gitignore"), gitignore);
  writeFileSync(join(path, secrets), secretsForDevelopment(), { mode: 0o600 });
  if (manager.name === "pnpm") writeFileSync(join(path, "pnpm-workspace.yaml"), PNPM_WORKSPACE);
  if (manager.name === "yarn" && manager.major > 1) {
    writeFileSync(join(path, ".yarnrc.yml"), YARN_SETTINGS);
    // Without one, yarn looks for a project in the folders above.
    writeFileSync(join(path, "yarn.lock"), "");
  }
  return filesOf(path);
}

/** Names in a template that belong to no project: it may have been tried in a clone of the repository. */
const LEFT_OVER = new Set([
  "node_modules",
  ".wrangler",
  ".next",
  "dist",
  "vendor",
  ".dev.vars",
  ".env.local",
  "next-env.d.ts",
]);

/**
 * Copies the files of a template. Each is read and written, because yarn runs this program from an archive, in which
 * Node's `cpSync` finds nothing.
 * @param {string} from
 * @param {string} to
 */
function copyFolder(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, copy] = [join(from, entry.name), join(to, entry.name)];
    if (LEFT_OVER.has(entry.name)) continue;
    if (entry.isDirectory()) copyFolder(source, copy);
    else writeFileSync(copy, readFileSync(source));
  }
}

/**
 * Sets the address of the keys, or of the application that names the user.
 * @param {string} wrangler
 * @param {string} template
 * @param {string} auth
 * @param {string | undefined} authUrl
 */
function withAuth(wrangler, template, auth, authUrl) {
  const { setting, address } = authOf(auth);
  if (!setting || !hasAddress(template, auth)) return wrangler;
  const vars = `"vars": { "${setting}": "${authUrl ?? address}" },`;
  const line = authUrl ? vars : `// Set the address of your own, and remove the slashes:\n  // ${vars}`;
  return wrangler.replace(EXAMPLE_OF_SETTINGS, `  ${line}\n`);
}

/** Returns the settings for development, with a new secret. */
const secretsForDevelopment = () =>
  `# Only for development on this machine. Keep this file out of git.
JWT_SECRET="${randomBytes(32).toString("base64url")}"
# Issues tokens to pages on this machine. A deployment ignores it.
DEV_TOKENS="true"
`;

/**
 * Lists the files of a folder.
 * @param {string} folder
 */
const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
