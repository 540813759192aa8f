// The changelog, in the format of Keep a Changelog.

const UNRELEASED = "## [Unreleased]\n";

/**
 * Returns what is listed since the last release.
 * @param {string} changelog
 */
export function unreleased(changelog) {
  const [, text = ""] = changelog.split(UNRELEASED);
  return (text.split(/^## /m)[0] ?? "").trim();
}

/**
 * Turns what is listed since the last release into the section of a version.
 * @param {string} changelog
 * @param {string} version
 * @param {string} date as YYYY-MM-DD
 */
export const releaseChangelog = (changelog, version, date) =>
  changelog.replace(UNRELEASED, `${UNRELEASED}\n## [${version}] - ${date}\n`);
