// A registry of npm packages on this machine, for the tests that install our packages. Without it, they are skipped.

import { pinnedPackages } from "./pinned-packages.mjs";

export const registry = pinnedPackages(
  "registry",
  { title: "registry", purpose: "to test that npm installs our packages", duration: "20 s" },
  "the installation of our packages is",
);
