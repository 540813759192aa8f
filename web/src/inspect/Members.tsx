// Who is here.

import { useChanges } from "./changes.js";
import { clock, number } from "./figures.js";
import { Panel, scrolling } from "./Panel.js";
import type { Session } from "./session.js";
import { t } from "./words.js";

export function Members({ session }: { session: Session }) {
  useChanges(session.facts);
  const { room, welcome } = session;
  const members = [...(room?.members.values() ?? [])];
  return (
    <Panel id="members" title={t.members} aside={room && <b class="count">{number(room.count)}</b>}>
      {members.length === 0 ? (
        <p class="quiet pad">{t.nobody}</p>
      ) : (
        <div class="scroller" {...scrolling(t.members)}>
          <table>
            <caption class="spoken">{t.members}</caption>
            <thead>
              <tr>
                <th scope="col">{t.user}</th>
                <th scope="col">{t.since}</th>
                <th scope="col">{t.connections}</th>
                <th scope="col">{t.state}</th>
              </tr>
            </thead>
            <tbody>
              {members.map(({ user, info, since, connections, state }) => (
                <tr key={user}>
                  <th scope="row">
                    {user}
                    {user === welcome?.user && <span class="tag">{t.you}</span>}
                    {typeof info.name === "string" && info.name !== user && (
                      <span class="note">{info.name}</span>
                    )}
                  </th>
                  <td>{clock(since, 0)}</td>
                  <td>{connections || <span class="warn">0 {t.gone}</span>}</td>
                  <td>
                    {Object.entries(state).map(([connection, shown]) => (
                      <div key={connection} class="state">
                        <code class="quiet">{connection.slice(0, 6)}</code>{" "}
                        <code>{JSON.stringify(shown)}</code>
                      </div>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {room?.isTruncated && <p class="warn pad">{t.truncated}</p>}
    </Panel>
  );
}
