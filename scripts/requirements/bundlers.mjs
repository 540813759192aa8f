// Bundlers, Jest and compilers, for the test that they find the client. Without them, that test is skipped.

import { pinnedPackages } from "./pinned-packages.mjs";

export const bundlers = pinnedPackages(
  "bundlers",
  { title: "bundlers", purpose: "to test that they find the client", duration: "1 min" },
  "the client in bundlers is",
);
