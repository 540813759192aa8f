// Links in a README that leaves the repository.

import { posix } from "node:path";

/**
 * Turns relative links into links to the source.
 * @param {string} text
 * @param {string} folder the README's folder in the repository
 * @param {string} blob address of the repository's files at one commit
 * @param {(before: string, after: string) => void} [report] receives each link
 */
export const withAbsoluteLinks = (text, folder, blob, report = () => {}) =>
  text.replace(/(?<=\]\()(?!https?:|#)([^)#]*)(#[^)]*)?(?=\))/g, (_, path, hash = "") => {
    const absolute = `${blob}/${posix.join(folder, path)}${hash}`;
    report(`${path}${hash}`, absolute);
    return absolute;
  });
