// The messages that a frame is about, with everything that became of them.

import { useMemo } from "preact/hooks";
import { formatClock, formatNumber } from "./format.js";
import type { Frame, FrameLog } from "./frame-log.js";
import { Json } from "./Json.js";
import { type Trail, trailsOf } from "./message-trail.js";
import { t } from "./strings.js";

/** Messages shown for one frame. */
const TRAILS_MAX = 10;

export function Trails({ frame, log }: { frame: Frame; log: FrameLog }) {
  const { count, frames } = log;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the list stays the same, and its count changes
  const trails = useMemo(() => trailsOf(frame, frames, TRAILS_MAX), [frame, count]);
  return (
    <>
      {trails.map((trail) => (
        <MessageTrail key={trail.message} trail={trail} />
      ))}
    </>
  );
}

function MessageTrail({ trail: { message, steps, now } }: { trail: Trail }) {
  return (
    <section class="trail" aria-label={t.trail(formatNumber(message))}>
      <h3>{t.trail(formatNumber(message))}</h3>
      <table>
        <thead>
          <tr>
            <th scope="col">{t.roomInfo.offset}</th>
            <th scope="col">{t.action}</th>
            <th scope="col">{t.version}</th>
            <th scope="col">{t.user}</th>
            <th scope="col">{t.time}</th>
            <th scope="col">{t.content}</th>
          </tr>
        </thead>
        <tbody>
          {steps.map(({ offset, action, version, user, time, content }) => (
            <tr key={offset}>
              <th scope="row">{formatNumber(offset)}</th>
              <td>{action}</td>
              <td>{version}</td>
              <td>{user}</td>
              <td>{time !== undefined && formatClock(time)}</td>
              <td>
                <code>
                  <Json text={content} lineMax={Number.POSITIVE_INFINITY} />
                </code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <h4>{t.asItIsNow}</h4>
      {now ? (
        <pre>
          <Json text={JSON.stringify(now)} />
        </pre>
      ) : (
        <p class="muted">{t.notInLog}</p>
      )}
    </section>
  );
}
