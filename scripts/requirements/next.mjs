// Next.js, for the test of docs/quickstart-nextjs.md. Without it, that test is skipped.

import { pinnedPackages } from "./pinned-packages.mjs";

export const next = pinnedPackages(
  "next",
  { title: "Next.js", purpose: "to test its quick start", duration: "20 s" },
  "the quick start for Next.js is",
);
