// snug-client in one file, which the tests keep of each release.

import { build } from "esbuild";
import { inRoot } from "./paths.mjs";

/**
 * Bundles the built client.
 * @param {string} version
 * @param {string} [dist] the folder of the built client
 * @returns the path of the file, in the repository
 */
export async function bundleClient(version, dist = inRoot("client", "dist")) {
  const file = `tests/clients/${version}.js`;
  await build({
    stdin: {
      contents: 'export { joinRoom } from "./index.js"; export { mintToken, Snug } from "./server/index.js";',
      resolveDir: dist,
    },
    bundle: true,
    format: "esm",
    minify: true,
    banner: { js: `// snug-client ${version}, as it was built. Do not change it.\n// @ts-nocheck` },
    outfile: inRoot(file),
  });
  return file;
}
