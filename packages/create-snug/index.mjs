#!/usr/bin/env node
// The command of `npm create snug`. It checks the version of Node before it loads anything that an old one cannot.

const required = { major: 22, minor: 12 };
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < required.major || (major === required.major && minor < required.minor)) {
  console.error(
    `create-snug: this is Node ${process.versions.node}, and Snug's tools need ${required.major}.${required.minor} or newer: install it from https://nodejs.org, then run this again`,
  );
  process.exitCode = 1;
} else {
  const { main } = await import("./src/main.mjs");
  process.exitCode = await main(process.argv.slice(2));
}
