// What the door says, beside what was read here.

import { useState } from "preact/hooks";
import { duration } from "./figures.js";
import { Panel } from "./Panel.js";
import type { Judgement } from "./token.js";
import { t } from "./words.js";

/** The status of a request that would have been let in, had it been an upgrade. */
const UPGRADE_REQUIRED = 426;

interface Answer {
  /** What was asked about. */
  token: string;
  room: string;
  status: number;
  code: string;
  detail: string;
  ms: number;
}

async function ask(token: string, room: string): Promise<Answer> {
  const start = performance.now();
  const answer = { token, room, status: 0, code: "", detail: t.unreachable, ms: 0 };
  try {
    const response = await fetch(`/v1/rooms/${encodeURIComponent(room)}/socket`, {
      cache: "no-store",
      headers: token ? { authorization: `Bearer ${token}` } : {},
    });
    const { code, detail } = await response.json();
    Object.assign(answer, { status: response.status, code, detail });
  } catch {
    // Not to be reached, or what answered is no Worker of ours: the status says which.
  }
  return { ...answer, ms: performance.now() - start };
}

export function Door({ judgement, token, room }: { judgement: Judgement; token: string; room: string }) {
  const [last, setLast] = useState<Answer>();
  const [isAsking, setIsAsking] = useState(false);
  const answer = last?.token === token && last.room === room ? last : undefined;
  const { verdict } = judgement;
  const isOpen = answer?.status === UPGRADE_REQUIRED;
  const isSame = isOpen ? !verdict : verdict?.code === answer?.code;
  return (
    <Panel
      id="door"
      title={t.door}
      aside={
        <button
          type="button"
          class="tool"
          disabled={isAsking}
          onClick={async () => {
            setIsAsking(true);
            setLast(await ask(token, room));
            setIsAsking(false);
          }}
        >
          {isAsking ? t.asking : t.ask}
        </button>
      }
    >
      <dl class="door" aria-live="polite">
        <div>
          <dt>{t.here}</dt>
          <dd class={verdict ? "bad" : "good"}>
            {verdict ? <code>{verdict.code}</code> : t.letIn}
            <span class="note">{verdict ? t.why[verdict.why] : t.ifSigned}</span>
          </dd>
        </div>
        <div>
          <dt>{t.word}</dt>
          {answer ? (
            <dd class={isOpen ? "good" : "bad"}>
              <code>
                {answer.status || ""} {answer.code}
              </code>
              {isOpen && <span>{t.letIn}</span>}
              <span class="note" lang={answer.code ? "en" : undefined}>
                {answer.detail}
              </span>
              <span class="note">{duration(answer.ms)}</span>
            </dd>
          ) : (
            <dd class="quiet">{t.notAsked}</dd>
          )}
        </div>
        {answer?.code && (
          <div class={`whole ${isSame ? "quiet" : "warn"}`}>
            <dt class="spoken">{t.verdict}</dt>
            <dd>{isSame ? t.agree : t.differ}</dd>
          </div>
        )}
      </dl>
    </Panel>
  );
}
