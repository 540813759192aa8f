// The templates: each is a folder in templates/ with the same name.

/**
 * @typedef {object} Template
 * @property {string} title shown in the list of templates
 * @property {string} hint
 * @property {"optional" | "never" | "always"} pages when the Worker serves the chat page and the inspector
 * @property {boolean} signsTokens true if the project signs the tokens of its users itself
 * @property {string} secrets the file with the secrets for development
 * @property {string} edit the file to begin with
 * @property {RegExp[]} ready the lines of `dev` that report each server; the first contains the chat's address
 * @property {RegExp} [worker] the line that contains the Worker's address, if it is not the chat's
 * @property {string} [site] a folder in which `composer install` runs
 */

const wrangler = /Ready on (https?:\/\/\S+)/;
const local = /Local:\s+(https?:\/\/\S+)/;

/** @type {Record<string, Template>} */
export const TEMPLATES = {
  worker: {
    title: "Worker",
    hint: "Snug alone, in one line",
    pages: "optional",
    signsTokens: false,
    secrets: ".dev.vars",
    edit: "wrangler.jsonc",
    ready: [wrangler],
  },
  "worker-hooks": {
    title: "Worker with your code",
    hint: "routes of your own, and functions that decide about users and messages",
    pages: "optional",
    signsTokens: false,
    secrets: ".dev.vars",
    edit: "src/hooks.ts",
    ready: [wrangler],
  },
  "vite-react": {
    title: "Vite and React",
    hint: "a React app and Snug in one Worker",
    pages: "never",
    signsTokens: true,
    secrets: ".dev.vars",
    edit: "src/Chat.tsx",
    ready: [local],
  },
  nextjs: {
    title: "Next.js",
    hint: "a Next.js app that signs tokens, with the Worker beside it",
    pages: "optional",
    signsTokens: true,
    secrets: ".env.local",
    edit: "app/chat.tsx",
    ready: [local, wrangler],
    worker: wrangler,
  },
  php: {
    title: "PHP",
    hint: "a PHP site that signs tokens, with the Worker beside it",
    // The site loads the client from the Worker, which serves it with the pages.
    pages: "always",
    signsTokens: true,
    secrets: ".dev.vars",
    edit: "site/public/index.php",
    ready: [/\((https?:\/\/\S+)\) started/, wrangler],
    worker: wrangler,
    site: "site",
  },
};

/**
 * The ways in which users sign in.
 * @type {Record<string, { title: string, hint: string, setting?: string, address?: string }>}
 */
export const AUTHS = {
  jwt: {
    title: "JWT with a secret",
    hint: "your server signs tokens with a secret that it shares with Snug",
  },
  jwks: {
    title: "JWT with public keys",
    hint: "an identity provider signs tokens; Snug reads its JWK Set",
    setting: "JWKS_URL",
    address: "https://example.com/.well-known/jwks.json",
  },
  sessions: {
    title: "Session cookies",
    hint: "Snug sends the user's cookie to your server, which names the user",
    setting: "AUTH_URL",
    address: "https://example.com/snug-auth",
  },
};
