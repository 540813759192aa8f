// What is wrong with the connection, and what can be done about it.

import { useEffect, useState } from "preact/hooks";
import type { View, Visit } from "./visit";
import { said, words } from "./words";

interface Props {
  view: View;
  visit: Visit;
  leave(): void;
}

export function Banner({ view, visit, leave }: Props) {
  const { status, error, retryAt } = view.status;
  const code = error?.code ?? "";
  if (status === "disconnected") {
    return (
      <div class="banner bad" role="alert">
        <p>
          {said(words.ends, code) ?? words.ended(code)}
          {view.lastWords && <bdi> {words.because(view.lastWords)}</bdi>}
        </p>
        <button type="button" class="button" onClick={leave}>
          {words.toEntrance}
        </button>
      </div>
    );
  }
  // Empty where all is well, so that it is there when something is to be said.
  if (status === "connected") return <div role="status" />;
  const isWaiting = retryAt !== undefined;
  // Which an attempt that has failed does not know.
  const isOffline = navigator.onLine === false;
  const why = isOffline ? words.lost.offline : (said(words.lost, code) ?? words.connectionLost);
  return (
    <div role="status">
      <div class="banner warn late">
        <p>
          {isWaiting ? why : words.connecting}
          {isWaiting && <Countdown until={retryAt} />}
        </p>
        {code.startsWith("token_") && (
          <button type="button" class="button" onClick={leave}>
            {words.toEntrance}
          </button>
        )}
        {isWaiting && (
          <button type="button" class="button" onClick={() => visit.connectNow()}>
            {words.tryNow}
          </button>
        )}
      </div>
    </div>
  );
}

/** Counts the seconds, but not aloud. */
function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  return <span aria-hidden="true"> {words.retryIn(Math.max(1, Math.ceil((until - now) / 1000)))}</span>;
}
