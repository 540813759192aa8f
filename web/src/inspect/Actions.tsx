// Sends commands, and tests how the room and the client handle faults and load.

import { useRef, useState } from "preact/hooks";
import type { Json } from "snug-client";
import { CopyAs } from "./CopyAs.js";
import type { ProgramOptions } from "./copy-as.js";
import { formatDuration, formatNumber } from "./format.js";
import type { InspectedRoom } from "./inspected-room.js";
import { BURST_MAX, type InspectorConnection, useRoom } from "./inspector-connection.js";
import { isObject, tryParse } from "./json.js";
import { Panel } from "./Panel.js";
import { type BurstProgress, dropSocket, sendBurst, testHibernation } from "./room-actions.js";
import { t } from "./strings.js";

interface Props {
  connection: InspectorConnection;
  options: ProgramOptions;
}

export function Actions({ connection, options }: Props) {
  const room = useRoom(connection, options.room);
  const [isBusy, setIsBusy] = useState(false);
  const isReady = room?.isJoined === true && !isBusy;
  const shared = { connection, room, isReady, setIsBusy };
  return (
    <Panel id="actions" title={t.actions} aside={<code class="muted">{options.room}</code>}>
      <CommandForm {...shared} options={options} />
      <h3>{t.faults}</h3>
      <DropSocket {...shared} />
      <HibernationTest {...shared} />
      <BurstTest {...shared} />
    </Panel>
  );
}

interface ActionProps {
  connection: InspectorConnection;
  room: InspectedRoom | undefined;
  /** True if the room is joined and no other test is running. */
  isReady: boolean;
  setIsBusy: (isBusy: boolean) => void;
}

/** The fields of each command, by their protocol names, without `type`. */
const FIELDS = {
  publish: ["event", "data"],
  signal: ["event", "to", "data"],
  state: ["data"],
  history: ["limit"],
  kick: ["user", "ban_seconds"],
  raw: ["text"],
} as const;

type CommandKind = keyof typeof FIELDS;

const DEFAULTS: Record<string, string> = {
  event: "chat",
  data: '{"text":"你好 👋"}',
  limit: "20",
  text: '{"type":"publish","id":"x","data":',
};

function CommandForm({ connection, room, isReady, options }: ActionProps & { options: ProgramOptions }) {
  const [kind, setKind] = useState<CommandKind>("publish");
  const [values, setValues] = useState(DEFAULTS);
  const [outcome, setOutcome] = useRoomState(room, "");
  const text = commandText(kind, values);
  const submit = async () => {
    try {
      setOutcome("…");
      setOutcome(await runCommand(connection, room, kind, values));
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      setOutcome(code ? `${code}: ${message}` : message);
    }
  };
  return (
    <form
      class="form"
      aria-label={t.sendCommand}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <label>
        <span>{t.command}</span>
        <select
          class="field"
          value={kind}
          onChange={({ currentTarget: { value } }) => {
            setKind(value as CommandKind);
            setOutcome("");
          }}
        >
          {Object.keys(FIELDS).map((name) => (
            <option key={name} value={name}>
              {name === "raw" ? t.raw : name}
            </option>
          ))}
        </select>
      </label>
      {FIELDS[kind].map((name) => {
        const id = `command-${name}`;
        const field = {
          id,
          class: "field",
          spellcheck: false,
          autocomplete: "off" as const,
          value: values[name] ?? "",
          onInput: (event: { currentTarget: { value: string } }) =>
            setValues({ ...values, [name]: event.currentTarget.value }),
        };
        const isLong = name === "data" || name === "text";
        return (
          <label key={name} for={id} class={isLong ? "full-width" : ""}>
            <span lang="en">{name}</span>
            {isLong ? <textarea {...field} rows={2} /> : <input {...field} />}
          </label>
        );
      })}
      <div class="full-width button-row">
        <button type="submit" class="button" disabled={!isReady}>
          {t.send}
        </button>
        <output class="muted">{outcome}</output>
      </div>
      {text !== undefined && (
        <div class="full-width">
          <CopyAs options={options} text={text} />
          {kind === "publish" && <span class="note">{t.needsServe}</span>}
        </div>
      )}
    </form>
  );
}

/** Fields that are left out if they are empty. */
const OPTIONAL = ["event", "to", "ban_seconds"];

/** Returns the command as one would write it, or `undefined` if a field is invalid. */
function commandText(kind: CommandKind, values: Record<string, string>): string | undefined {
  if (kind === "raw") return values.text ?? "";
  const fields = FIELDS[kind].flatMap((name: string) => {
    const value = values[name] ?? "";
    if (value === "" && OPTIONAL.includes(name)) return [];
    return `"${name}":${fieldJson(name, value)}`;
  });
  const text = `{"type":"${kind}","id":1,${fields}}`;
  return tryParse(text) === undefined ? undefined : text;
}

/** Returns a field as JSON, if it is valid. */
function fieldJson(name: string, value: string): unknown {
  if (name === "event" || name === "user") return JSON.stringify(value);
  if (name === "to") return JSON.stringify(value.split(/[\s,]+/).filter(Boolean));
  // Longer pages are refused.
  return name === "limit" ? Math.min(100, Number(value)) : value;
}

/** Runs the command. Returns its result as a text. */
async function runCommand(
  connection: InspectorConnection,
  inspected: InspectedRoom | undefined,
  kind: CommandKind,
  values: Record<string, string>,
): Promise<string> {
  if (!inspected) return t.notConnected;
  const room = inspected.client;
  const { event = "", to = "", data = "", limit = "", user = "", text = "" } = values;
  const eventField = event ? { event } : {};
  const value = tryParse(data) as Json | undefined;
  switch (kind) {
    case "publish": {
      if (value === undefined) return t.badData;
      const start = performance.now();
      const { offset } = await room.publish(value, eventField);
      return t.stored(offset, formatDuration(performance.now() - start));
    }
    case "signal": {
      if (value === undefined) return t.badData;
      const users = to.split(/[\s,]+/).filter(Boolean);
      return room.signal(value, { ...eventField, ...(users.length > 0 && { to: users }) })
        ? t.sent
        : t.notConnected;
    }
    case "state":
      if (!isObject(value)) return t.badState;
      room.setState(value as { [name: string]: Json });
      return t.sent;
    case "history": {
      const offsets: number[] = [];
      const count = Math.max(1, Number(limit) || 1);
      for await (const { offset } of room.history({ pageSize: Math.min(count, 100) })) {
        if (offsets.push(offset) === count) break;
      }
      return t.messages(offsets.length, offsets.at(-1), offsets[0]);
    }
    case "kick": {
      const seconds = values.ban_seconds;
      return t.closed(await room.kick(user, seconds ? { banSeconds: Number(seconds) } : {}));
    }
    case "raw":
      return connection.sendRaw(text) ? t.sent : t.notConnected;
  }
}

/** Returns a state of the room that was shown when it was set. Another room has the first value. */
function useRoomState<T>(room: InspectedRoom | undefined, first: T): [T, (value: T) => void] {
  const [state, setState] = useState({ room, value: first });
  return [state.room === room ? state.value : first, (value) => setState({ room, value })];
}

function DropSocket({ connection, room, isReady, setIsBusy }: ActionProps) {
  const [outcome, setOutcome] = useRoomState(room, "");
  const start = async () => {
    if (!room) return;
    setIsBusy(true);
    setOutcome("…");
    const dropped = await dropSocket(connection, room);
    const missed = dropped ? Math.max(0, dropped.welcome.offset - dropped.from) : 0;
    setOutcome(
      dropped ? t.dropped(formatDuration(dropped.ms), dropped.welcome.recovered, missed) : t.notReconnected,
    );
    setIsBusy(false);
  };
  const ping = async () => {
    if (!room) return;
    const reply = await connection.request(room, { type: "ping" });
    setOutcome(reply ? `pong: ${formatDuration(reply.latencyMs)}` : t.notConnected);
  };
  return (
    <div class="action">
      <div class="button-row">
        <button type="button" class="button" disabled={!isReady} aria-describedby="drop-hint" onClick={start}>
          {t.drop}
        </button>
        <button type="button" class="button" disabled={!isReady} onClick={ping}>
          {t.ping}
        </button>
      </div>
      <p id="drop-hint" class="note">
        {t.dropHint}
      </p>
      <output>{outcome}</output>
    </div>
  );
}

function HibernationTest({ connection, room, isReady, setIsBusy }: ActionProps) {
  const [part, setPart] = useState<number>();
  const [outcome, setOutcome] = useRoomState(room, "");
  const stop = useRef<AbortController>(undefined);
  const start = async () => {
    if (!room) return;
    const abort = new AbortController();
    stop.current = abort;
    setIsBusy(true);
    setOutcome("");
    const result = await testHibernation(connection, room, setPart, abort.signal);
    setPart(undefined);
    setIsBusy(false);
    if (!result) return;
    const { firstMs, secondMs, otherFrames } = result;
    const disturbed = otherFrames > 0 ? t.disturbed(otherFrames) : "";
    setOutcome(
      firstMs === undefined
        ? t.notConnected
        : t.woken(formatDuration(firstMs), formatDuration(secondMs)) + disturbed,
    );
  };
  const isRunning = part !== undefined;
  return (
    <div class="action">
      <div class="button-row">
        <button
          type="button"
          class="button"
          disabled={!isReady && !isRunning}
          aria-describedby="hibernate-hint"
          onClick={() => (isRunning ? stop.current?.abort() : start())}
        >
          {isRunning ? t.stop : t.hibernate}
        </button>
        {isRunning && <progress aria-label={t.hibernate} value={part} max={1} />}
      </div>
      <p id="hibernate-hint" class="note">
        {t.hibernateHint}
      </p>
      <output>{outcome}</output>
    </div>
  );
}

function BurstTest({ connection, room, isReady, setIsBusy }: ActionProps) {
  const [type, setType] = useState<"publish" | "signal">("publish");
  const [count, setCount] = useState(100);
  const [bypassesClient, setIsStraight] = useState(false);
  const [progress, setProgress] = useRoomState<BurstProgress | undefined>(room, undefined);
  const [isRunning, setIsRunning] = useState(false);
  const start = async () => {
    if (!room) return;
    setIsBusy(true);
    setIsRunning(true);
    let last: BurstProgress | undefined;
    // Progress is reported for each message, and rendered ten times a second.
    const timer = setInterval(() => last && setProgress({ ...last }), 100);
    await sendBurst(connection, room, { type, count, bypassesClient }, (progress) => {
      last = progress;
    });
    clearInterval(timer);
    if (last) setProgress(last);
    setIsRunning(false);
    setIsBusy(false);
  };
  const rejected = Object.entries(progress?.rejected ?? {});
  const finished = (progress?.done ?? 0) + rejected.reduce((sum, [, number]) => sum + number, 0);
  return (
    <div class="action">
      <div class="button-row">
        <button
          type="button"
          class="button"
          disabled={!isReady}
          aria-describedby="burst-hint"
          onClick={start}
        >
          {t.burst}
        </button>
        <select
          class="field"
          aria-label={t.count}
          value={count}
          onChange={({ currentTarget: { value } }) => setCount(Number(value))}
        >
          {[10, 100, BURST_MAX].map((many) => (
            <option key={many} value={many}>
              {formatNumber(many)}
            </option>
          ))}
        </select>
        <select
          class="field"
          aria-label={t.command}
          value={type}
          onChange={({ currentTarget: { value } }) => setType(value as typeof type)}
        >
          <option>publish</option>
          <option>signal</option>
        </select>
        <label class="checkbox">
          <input
            type="checkbox"
            disabled={type === "signal"}
            checked={bypassesClient || type === "signal"}
            onChange={({ currentTarget: { checked } }) => setIsStraight(checked)}
          />
          <span>{t.bypassClient}</span>
        </label>
      </div>
      <p id="burst-hint" class="note">
        {t.burstHint}
      </p>
      {isRunning && <progress aria-label={t.burst} value={finished} max={count} />}
      <output>
        {progress && (
          <>
            {t.burstResult(
              formatNumber(progress.done),
              formatNumber(progress.count),
              formatDuration(progress.ms),
              formatNumber(Math.round(progress.done / (progress.ms / 1000))),
            )}
            {rejected.map(([code, many]) => (
              <span key={code} class="error">
                {" "}
                {formatNumber(many)} {t.rejected}: <code>{code}</code>
              </span>
            ))}
          </>
        )}
      </output>
    </div>
  );
}
