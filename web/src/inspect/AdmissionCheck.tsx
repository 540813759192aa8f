// Compares the local check of the token with the server's response.

import { useState } from "preact/hooks";
import { formatDuration } from "./format.js";
import { Panel } from "./Panel.js";
import { t } from "./strings.js";
import type { TokenCheck } from "./token-check.js";

/** The status of a request that would be accepted if it were a WebSocket upgrade. */
const UPGRADE_REQUIRED = 426;

interface ServerResponse {
  token: string;
  room: string;
  status: number;
  code: string;
  detail: string;
  ms: number;
}

async function requestAdmission(token: string, room: string): Promise<ServerResponse> {
  const start = performance.now();
  const response = { token, room, status: 0, code: "", detail: t.unreachable, ms: 0 };
  try {
    const reply = await fetch(`/v1/rooms/${encodeURIComponent(room)}/socket`, {
      cache: "no-store",
      headers: token ? { authorization: `Bearer ${token}` } : {},
    });
    const { code, detail } = await reply.json();
    Object.assign(response, { status: reply.status, code, detail });
  } catch {
    // Keeps status 0 if the request fails, or if the response is not Snug's.
  }
  return { ...response, ms: performance.now() - start };
}

export function AdmissionCheck({ check, token, room }: { check: TokenCheck; token: string; room: string }) {
  const [last, setLast] = useState<ServerResponse>();
  const [isChecking, setIsChecking] = useState(false);
  const response = last?.token === token && last.room === room ? last : undefined;
  const { rejection } = check;
  const isAdmitted = response?.status === UPGRADE_REQUIRED;
  const isSame = isAdmitted ? !rejection : rejection?.code === response?.code;
  return (
    <Panel
      id="admission"
      title={t.admission}
      aside={
        <button
          type="button"
          class="tool-button"
          disabled={isChecking}
          onClick={async () => {
            setIsChecking(true);
            setLast(await requestAdmission(token, room));
            setIsChecking(false);
          }}
        >
          {isChecking ? t.checking : t.askServer}
        </button>
      }
    >
      <dl class="admission" aria-live="polite">
        <div>
          <dt>{t.localCheck}</dt>
          <dd class={rejection ? "error" : "success"}>
            {rejection ? <code>{rejection.code}</code> : t.accepted}
            <span class="note">{rejection ? t.reasons[rejection.reason] : t.ifSigned}</span>
          </dd>
        </div>
        <div>
          <dt>{t.serverResponse}</dt>
          {response ? (
            <dd class={isAdmitted ? "success" : "error"}>
              <code>
                {response.status || ""} {response.code}
              </code>
              {isAdmitted && <span>{t.accepted}</span>}
              <span class="note" lang={response.code ? "en" : undefined}>
                {response.detail}
              </span>
              <span class="note">{formatDuration(response.ms)}</span>
            </dd>
          ) : (
            <dd class="muted">{t.notChecked}</dd>
          )}
        </div>
        {response?.code && (
          <div class={`full-width ${isSame ? "muted" : "warning"}`}>
            <dt class="visually-hidden">{t.result}</dt>
            <dd>{isSame ? t.agree : t.differ}</dd>
          </div>
        )}
      </dl>
    </Panel>
  );
}
