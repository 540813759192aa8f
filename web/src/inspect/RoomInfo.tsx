// Details of the joined room and connection, and the errors so far.

import { useNow } from "./change-notifier.js";
import { formatClock, formatDuration, formatNumber, formatRelativeTime } from "./format.js";
import { CONNECTION } from "./frame-log.js";
import { type InspectorConnection, useRoom } from "./inspector-connection.js";
import { Panel } from "./Panel.js";
import { t } from "./strings.js";

interface Props {
  connection: InspectorConnection;
  roomName: string;
}

export function RoomInfo({ connection, roomName }: Props) {
  const room = useRoom(connection, roomName);
  const now = useNow();
  const errors = connection.errors.filter(({ room }) => room === CONNECTION || room === roomName);
  const { welcome, client } = room ?? {};
  return (
    <Panel id="room" title={t.room} aside={<code class="muted">{roomName}</code>}>
      {welcome ? (
        <dl class="info-list">
          <InfoRow name={t.roomInfo.user}>{welcome.user}</InfoRow>
          <InfoRow name={t.roomInfo.connection}>{welcome.connection}</InfoRow>
          <InfoRow name={t.roomInfo.can}>{welcome.can.join(", ") || "–"}</InfoRow>
          <InfoRow name={t.roomInfo.epoch}>{client?.position?.epoch ?? welcome.epoch}</InfoRow>
          <InfoRow name={t.roomInfo.offset}>
            {formatNumber(client?.position?.offset ?? welcome.offset)}
          </InfoRow>
          <InfoRow name={t.roomInfo.recovered}>
            {welcome.recovered === null ? t.notRequested : `${welcome.recovered}`}
          </InfoRow>
          <InfoRow name={t.roomInfo.expires}>
            {formatClock(welcome.expires, 0)}{" "}
            <span class="muted">{formatRelativeTime(welcome.expires, now)}</span>
          </InfoRow>
          <InfoRow name={t.roomInfo.limits}>
            {t.limitsText(formatNumber(welcome.limits.message_bytes), welcome.limits.messages_per_second)}
          </InfoRow>
          <InfoRow name={t.roomInfo.pings}>{formatDuration(welcome.ping_ms)}</InfoRow>
          <InfoRow name={t.roomInfo.reconnects}>{room?.reconnects}</InfoRow>
          <InfoRow name={t.roomInfo.gaps}>{room?.gaps}</InfoRow>
        </dl>
      ) : (
        <p class="muted padded">{t.notJoined}</p>
      )}
      <h3>{t.errors}</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must be able to scroll it */}
      <div class="error-log" role="log" aria-label={t.errors} tabIndex={0}>
        {errors.map(({ n, time, code, message }) => (
          <p key={n}>
            <time>{formatClock(time, 0)}</time> <ErrorText code={code} message={message} />
          </p>
        ))}
      </div>
      {errors.length === 0 && <p class="muted padded">{t.noErrors}</p>}
    </Panel>
  );
}

function InfoRow({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** An error's code, and its message if that adds anything. */
export function ErrorText({ code, message }: { code: string; message: string }) {
  return (
    <>
      <code class="error">{code}</code> {message !== code && <span lang="en">{message}</span>}
    </>
  );
}
