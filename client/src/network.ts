// Browser events about the network and the visibility of the page.

/** Returns true if the browser says that the device has no network. Other platforms do not say. */
export const isOffline = () => globalThis.navigator?.onLine === false;

/**
 * Calls `back` when the network returns or the page becomes visible, and `gone` when the network is lost.
 * Returns a function that stops watching. Does nothing outside a browser.
 */
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
