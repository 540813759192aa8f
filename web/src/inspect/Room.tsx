// What the room has said of itself and of us, and what went wrong.

import { useChanges, useNow } from "./changes.js";
import { clock, duration, fromNow, number } from "./figures.js";
import { Panel } from "./Panel.js";
import type { Session } from "./session.js";
import { t } from "./words.js";

export function Room({ session }: { session: Session }) {
  useChanges(session.facts);
  const now = useNow();
  const { welcome, room, reconnects, gaps, troubles } = session;
  return (
    <Panel id="room" title={t.room} aside={<code class="quiet">{welcome?.room}</code>}>
      {welcome ? (
        <dl class="facts">
          <Fact name={t.facts.user}>{welcome.user}</Fact>
          <Fact name={t.facts.connection}>{welcome.connection}</Fact>
          <Fact name={t.facts.can}>{welcome.can.join(", ") || "–"}</Fact>
          <Fact name={t.facts.epoch}>{room?.position?.epoch ?? welcome.epoch}</Fact>
          <Fact name={t.facts.offset}>{number(room?.position?.offset ?? welcome.offset)}</Fact>
          <Fact name={t.facts.recovered}>
            {welcome.recovered === null ? t.notAskedFor : `${welcome.recovered}`}
          </Fact>
          <Fact name={t.facts.expires}>
            {clock(welcome.expires, 0)} <span class="quiet">{fromNow(welcome.expires, now)}</span>
          </Fact>
          <Fact name={t.facts.limits}>
            {t.limitsOf(number(welcome.limits.message_bytes), welcome.limits.messages_per_second)}
          </Fact>
          <Fact name={t.facts.pings}>{duration(welcome.ping_ms)}</Fact>
          <Fact name={t.facts.reconnects}>{reconnects}</Fact>
          <Fact name={t.facts.gaps}>{gaps}</Fact>
        </dl>
      ) : (
        <p class="quiet pad">{t.never}</p>
      )}
      <h3>{t.troubles}</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: who has no pointer scrolls it with the keys */}
      <div class="troubles" role="log" aria-label={t.troubles} tabIndex={0}>
        {troubles.map(({ n, time, code, message }) => (
          <p key={n}>
            <time>{clock(time, 0)}</time> <Reason code={code} message={message} />
          </p>
        ))}
      </div>
      {troubles.length === 0 && <p class="quiet pad">{t.noTroubles}</p>}
    </Panel>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** An error: its code, and what it says where that is more. */
export function Reason({ code, message }: { code: string; message: string }) {
  return (
    <>
      <code class="bad">{code}</code> {message !== code && <span lang="en">{message}</span>}
    </>
  );
}
