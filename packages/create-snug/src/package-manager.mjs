// The package manager that runs this program, and its commands.

const EXEC = { npm: "npx", pnpm: "pnpm exec", yarn: "yarn", bun: "bunx" };

/** @typedef {keyof typeof EXEC} Name */

/**
 * @typedef {object} PackageManager
 * @property {Name} name
 * @property {number} major its major version, or 0 if it is not known
 * @property {string} exec the command that runs a program of a package
 */

/**
 * Returns the package manager that a user agent names, or else npm.
 * @param {string} [agent]
 * @returns {PackageManager}
 */
export function packageManager(agent = process.env.npm_config_user_agent ?? "") {
  const [, found = "npm", version = "0"] = /^(npm|pnpm|yarn|bun)\/(\d+)/.exec(agent) ?? [];
  const name = /** @type {Name} */ (found);
  return { name, major: Number(version), exec: EXEC[name] };
}

/**
 * Replaces npm's commands in a document by those of a package manager.
 * @param {string} text
 * @param {PackageManager} manager
 */
export const withCommandsOf = (text, { name, exec }) =>
  text.replace(/\bnpm (run|install)\b/g, `${name} $1`).replace(/\bnpx\b/g, exec);
