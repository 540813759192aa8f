// What is wrong with the connection, and what can be done about it.

import { useEffect, useState } from "preact/hooks";
import type { SnugError } from "snug-client";
import type { View, Visit } from "./visit";
import { said, words } from "./words";

interface Props {
  view: View;
  visit: Visit;
  leave(): void;
}

export function Banner({ view, visit, leave }: Props) {
  const { status, error, retryAt } = view.status;
  if (status === "disconnected") {
    return (
      <div class="banner bad" role="alert">
        <p>{whyEnded(error)}</p>
        <button type="button" class="button" onClick={leave}>
          {words.toEntrance}
        </button>
      </div>
    );
  }
  // Empty where all is well, so that it is there when something is to be said.
  if (status === "connected") return <div role="status" />;
  const isWaiting = retryAt !== undefined;
  const isTokens = error?.code.startsWith("token_");
  return (
    <div role="status">
      <div class="banner warn late">
        <p>
          {isWaiting ? (said(words.lost, error?.code) ?? words.connectionLost) : words.connecting}
          {isWaiting && <Countdown until={retryAt} />}
        </p>
        {isTokens && (
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

function whyEnded(error: SnugError | undefined) {
  const { code = "", message = "" } = error ?? {};
  const isInTheirWords = (code === "kicked" || code === "banned") && message !== code && message !== "";
  return (
    <>
      {said(words.ends, code) ?? words.ended(code)}
      {isInTheirWords && <bdi> {words.because(message)}</bdi>}
    </>
  );
}
