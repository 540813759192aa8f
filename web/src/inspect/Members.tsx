// The room's members, with their presence state by connection.

import { formatClock, formatNumber } from "./format.js";
import { type InspectorConnection, useRoom } from "./inspector-connection.js";
import { Json } from "./Json.js";
import { Panel, scrollable } from "./Panel.js";
import { t } from "./strings.js";

interface Props {
  connection: InspectorConnection;
  roomName: string;
}

export function Members({ connection, roomName }: Props) {
  const { client, welcome, hasEnded } = useRoom(connection, roomName) ?? {};
  const room = hasEnded ? undefined : client;
  const members = [...(room?.members.values() ?? [])];
  return (
    <Panel
      id="members"
      title={t.members}
      aside={
        room && (
          <>
            <code class="muted">{roomName}</code>
            <b class="count">{formatNumber(room.count)}</b>
          </>
        )
      }
    >
      {members.length === 0 ? (
        <p class="muted padded">{t.noMembers}</p>
      ) : (
        <div class="scroller" {...scrollable(t.members)}>
          <table>
            <caption class="visually-hidden">{t.members}</caption>
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
                    {user === welcome?.user && <span class="tag">{`\u2060${t.you}`}</span>}
                    {typeof info.name === "string" && info.name !== user && (
                      <span class="note">{info.name}</span>
                    )}
                  </th>
                  <td>{formatClock(since, 0)}</td>
                  <td>{connections || <span class="warning">0 ({t.gracePeriod})</span>}</td>
                  <td>
                    {Object.entries(state).map(([connection, value]) => (
                      <div key={connection} class="member-state">
                        <code class="muted">{connection.slice(0, 6)}</code>{" "}
                        <code>
                          <Json text={JSON.stringify(value)} lineMax={Number.POSITIVE_INFINITY} />
                        </code>
                      </div>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p class="note padded">{t.visible}</p>
      {room?.isTruncated && <p class="warning padded">{t.truncated}</p>}
    </Panel>
  );
}
