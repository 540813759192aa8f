// The badges in the README of an npm package.

/** A picture with a text for those who do not see it, and the address to which it leads, if any. */
export interface Badge {
  text: string;
  picture: string;
  link: string | undefined;
}

/** Returns the badges of a README, which are under its title. */
export function badgesOf(readme: string): Badge[] {
  const [, block = ""] = readme.split("\n\n");
  return block.split("\n").map((line) => {
    const [, text = "", picture = "", link] = /^\[?!\[(.+?)\]\((\S+?)\)(?:\]\((\S+)\))?$/.exec(line) ?? [];
    return { text, picture, link };
  });
}

/** Returns what the badge of the size says. Fails unless its picture and its text say the same. */
export function sizeBadge(readme: string): { label: string; kibibytes: number } {
  for (const { text, picture } of badgesOf(readme)) {
    const [, size, label = ""] = /^Size: (\S+) KiB (\w+)$/.exec(text) ?? [];
    if (size === undefined) continue;
    const expected = `https://img.shields.io/badge/${label}-${size}_KiB-blue`;
    if (picture !== expected) throw new Error(`the badge '${text}' has the picture ${picture}`);
    return { label, kibibytes: Number(size) };
  }
  throw new Error("the README has no badge of the size");
}
