// Buttons to say something, and to see how the room and the client take it when something goes wrong.

import { useRef, useState } from "preact/hooks";
import type { Json } from "snug-client";
import { drop, type Flood, flood, sleep } from "./actions.js";
import { useChanges } from "./changes.js";
import { duration, number } from "./figures.js";
import { isObject, parsed } from "./json.js";
import { Panel } from "./Panel.js";
import { FLOOD_MAX, type Session } from "./session.js";
import { t } from "./words.js";

export function Actions({ session }: { session: Session }) {
  useChanges(session.facts);
  const [isBusy, setIsBusy] = useState(false);
  const isReady = session.isConnected && !isBusy;
  const shared = { session, isReady, setIsBusy };
  return (
    <Panel id="actions" title={t.actions}>
      <Say {...shared} />
      <h3>{t.faults}</h3>
      <Drop {...shared} />
      <Sleep {...shared} />
      <Floods {...shared} />
    </Panel>
  );
}

interface Props {
  session: Session;
  /** Whether there is a connection, and nothing else that is under way. */
  isReady: boolean;
  setIsBusy: (isBusy: boolean) => void;
}

/** What each command has, beside its `type`; as the protocol calls it. */
const FIELDS = {
  publish: ["event", "data"],
  signal: ["event", "to", "data"],
  state: ["data"],
  history: ["limit"],
  kick: ["user", "ban_seconds"],
  raw: ["text"],
} as const;

type Kind = keyof typeof FIELDS;

const FIRST: Record<string, string> = {
  event: "chat",
  data: '{"text":"你好 👋"}',
  limit: "20",
  text: '{"type":"publish","id":"x","data":',
};

function Say({ session, isReady }: Props) {
  const [kind, setKind] = useState<Kind>("publish");
  const [values, setValues] = useState(FIRST);
  const [outcome, setOutcome] = useState("");
  const say = async () => {
    try {
      setOutcome("…");
      setOutcome(await saying(session, kind, values));
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      setOutcome(code ? `${code}: ${message}` : message);
    }
  };
  return (
    <form
      class="form"
      aria-label={t.say}
      onSubmit={(event) => {
        event.preventDefault();
        say();
      }}
    >
      <label>
        <span>{t.kind}</span>
        <select
          class="field"
          value={kind}
          onChange={({ currentTarget: { value } }) => {
            setKind(value as Kind);
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
        const id = `say-${name}`;
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
          <label key={name} for={id} class={isLong ? "wide" : ""}>
            <span lang="en">{name}</span>
            {isLong ? <textarea {...field} rows={2} /> : <input {...field} />}
          </label>
        );
      })}
      <div class="wide row">
        <button type="submit" class="button" disabled={!isReady}>
          {t.send}
        </button>
        <output class="quiet">{outcome}</output>
      </div>
    </form>
  );
}

/** Says it, and gives what came of it in words. */
async function saying(session: Session, kind: Kind, values: Record<string, string>): Promise<string> {
  const { room } = session;
  if (!room) return t.noSocket;
  const { event = "", to = "", data = "", limit = "", user = "", text = "" } = values;
  const named = event ? { event } : {};
  const value = parsed(data) as Json | undefined;
  switch (kind) {
    case "publish": {
      if (value === undefined) return t.badData;
      const start = performance.now();
      const { offset } = await room.publish(value, named);
      return t.stored(offset, duration(performance.now() - start));
    }
    case "signal": {
      if (value === undefined) return t.badData;
      const users = to.split(/[\s,]+/).filter(Boolean);
      return room.signal(value, { ...named, ...(users.length > 0 && { to: users }) }) ? t.sent : t.noSocket;
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
      return session.sendText(text) ? t.sent : t.noSocket;
  }
}

function Drop({ session, isReady, setIsBusy }: Props) {
  const [outcome, setOutcome] = useState("");
  const start = async () => {
    setIsBusy(true);
    setOutcome("…");
    const dropped = await drop(session);
    const missed = dropped ? Math.max(0, dropped.welcome.offset - dropped.from) : 0;
    setOutcome(dropped ? t.dropped(duration(dropped.ms), dropped.welcome.recovered, missed) : t.notBack);
    setIsBusy(false);
  };
  const ping = async () => {
    const answer = await session.ask({ type: "ping" });
    setOutcome(answer ? `pong: ${duration(answer.latencyMs)}` : t.noSocket);
  };
  return (
    <div class="action">
      <div class="row">
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

function Sleep({ session, isReady, setIsBusy }: Props) {
  const [part, setPart] = useState<number>();
  const [outcome, setOutcome] = useState("");
  const stop = useRef<AbortController>(undefined);
  const start = async () => {
    const abort = new AbortController();
    stop.current = abort;
    setIsBusy(true);
    setOutcome("");
    const slept = await sleep(session, setPart, abort.signal);
    setPart(undefined);
    setIsBusy(false);
    if (!slept) return;
    const { firstMs, secondMs, disturbances } = slept;
    const disturbed = disturbances > 0 ? t.disturbed(disturbances) : "";
    setOutcome(
      firstMs === undefined ? t.noSocket : t.slept(duration(firstMs), duration(secondMs)) + disturbed,
    );
  };
  const isAsleep = part !== undefined;
  return (
    <div class="action">
      <div class="row">
        <button
          type="button"
          class="button"
          disabled={!isReady && !isAsleep}
          aria-describedby="sleep-hint"
          onClick={() => (isAsleep ? stop.current?.abort() : start())}
        >
          {isAsleep ? t.stop : t.sleep}
        </button>
        {isAsleep && <progress aria-label={t.sleep} value={part} max={1} />}
      </div>
      <p id="sleep-hint" class="note">
        {t.sleepHint}
      </p>
      <output>{outcome}</output>
    </div>
  );
}

function Floods({ session, isReady, setIsBusy }: Props) {
  const [type, setType] = useState<"publish" | "signal">("publish");
  const [count, setCount] = useState(100);
  const [isStraight, setIsStraight] = useState(false);
  const [tally, setTally] = useState<Flood>();
  const [isRunning, setIsRunning] = useState(false);
  const start = async () => {
    setIsBusy(true);
    setIsRunning(true);
    let last: Flood | undefined;
    // Told of each, and shown some times a second.
    const show = setInterval(() => last && setTally({ ...last }), 100);
    await flood(session, { type, count, isStraight }, (flood) => {
      last = flood;
    });
    clearInterval(show);
    if (last) setTally(last);
    setIsRunning(false);
    setIsBusy(false);
  };
  const refused = Object.entries(tally?.refused ?? {});
  const answered = (tally?.done ?? 0) + refused.reduce((sum, [, number]) => sum + number, 0);
  return (
    <div class="action">
      <div class="row">
        <button
          type="button"
          class="button"
          disabled={!isReady}
          aria-describedby="flood-hint"
          onClick={start}
        >
          {t.flood}
        </button>
        <select
          class="field"
          aria-label={t.count}
          value={count}
          onChange={({ currentTarget: { value } }) => setCount(Number(value))}
        >
          {[10, 100, FLOOD_MAX].map((many) => (
            <option key={many} value={many}>
              {number(many)}
            </option>
          ))}
        </select>
        <select
          class="field"
          aria-label={t.kind}
          value={type}
          onChange={({ currentTarget: { value } }) => setType(value as typeof type)}
        >
          <option>publish</option>
          <option>signal</option>
        </select>
        <label class="check">
          <input
            type="checkbox"
            disabled={type === "signal"}
            checked={isStraight || type === "signal"}
            onChange={({ currentTarget: { checked } }) => setIsStraight(checked)}
          />
          <span>{t.straight}</span>
        </label>
      </div>
      <p id="flood-hint" class="note">
        {t.floodHint}
      </p>
      {isRunning && <progress aria-label={t.flood} value={answered} max={count} />}
      <output>
        {tally && (
          <>
            {t.flooded(
              number(tally.done),
              number(tally.count),
              duration(tally.ms),
              number(Math.round(tally.done / (tally.ms / 1000))),
            )}
            {refused.map(([code, many]) => (
              <span key={code} class="bad">
                {" "}
                {number(many)} {t.refused}: <code>{code}</code>
              </span>
            ))}
          </>
        )}
      </output>
    </div>
  );
}
