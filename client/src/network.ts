// What a browser knows of its network, and of who looks at the page.

/** Calls `back` when the network is there again or the page is looked at, and `gone` when the network goes. */
export function watchNetwork(back: () => void, gone: () => void): () => void {
  const page: Partial<Pick<Window, "addEventListener" | "document">> = globalThis;
  const watch = new AbortController();
  const until = { signal: watch.signal };
  page.addEventListener?.("online", back, until);
  page.addEventListener?.("offline", gone, until);
  page.addEventListener?.("pageshow", back, until);
  const { document } = page;
  document?.addEventListener("visibilitychange", () => document.hidden || back(), until);
  return () => watch.abort();
}
