// The server's response to the token and the room. Asks by itself, because only the server knows its keys.

import { useEffect, useState } from "preact/hooks";
import { type Admission, requestAdmission } from "../common/admission.js";
import { CopyAs } from "./CopyAs.js";
import type { ProgramOptions } from "./copy-as.js";
import { formatDuration } from "./format.js";
import { type InspectorConnection, useRoom } from "./inspector-connection.js";
import { Panel } from "./Panel.js";
import { t } from "./strings.js";
import type { TokenCheck } from "./token-check.js";

/** The delay before the server is asked, so that it is not asked at every keystroke. */
const DELAY_MS = 300;

interface ServerResponse extends Admission {
  token: string;
  room: string;
  ms: number;
}

interface Props {
  connection: InspectorConnection;
  check: TokenCheck;
  options: ProgramOptions;
}

export function AdmissionCheck({ connection, check: { rejection }, options }: Props) {
  const { room, token = "" } = options;
  const joined = useRoom(connection, room);
  const [last, setLast] = useState<ServerResponse>();
  /** Incremented by the button. */
  const [request, setRequest] = useState(0);
  const ask = async (signal?: AbortSignal) => {
    const start = performance.now();
    const admission = await requestAdmission(room, token, signal);
    if (!signal?.aborted) setLast({ ...admission, token, room, ms: performance.now() - start });
  };
  // Asked again when time has changed the result of the local check, and when the room is joined or ends.
  const localCode = rejection?.code;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `ask` depends on the same values
  useEffect(() => {
    setLast(undefined);
    // Without a token, it may be cookies that identify the user: the button asks.
    if ((token === "" && request === 0) || room === "") return;
    const abort = new AbortController();
    const timer = setTimeout(() => ask(abort.signal), DELAY_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [token, room, localCode, request, joined, joined?.hasEnded]);
  const response = last?.token === token && last.room === room ? last : undefined;
  const isAsked = token !== "" || request > 0;
  return (
    <Panel
      id="admission"
      title={t.admission}
      aside={
        <button type="button" class="tool-button" onClick={() => setRequest(request + 1)}>
          {t.askServer}
        </button>
      }
    >
      <div class="admission">
        <div aria-live="polite">
          {response ? (
            <div class={response.isAccepted ? "success" : "error"}>
              <b>{response.isAccepted ? t.accepted : response.status > 0 ? t.refused : t.notChecked}</b>{" "}
              <code>
                {response.status || ""} {response.code}
              </code>
              <span class="note" lang={response.code ? "en" : undefined}>
                {response.status > 0 ? response.detail : t.unreachable}
              </span>
              {rejection && !response.isAccepted && <span class="note">{t.reasons[rejection.reason]}</span>}
              {rejection && response.isAccepted && <span class="note">{t.differ}</span>}
              <span class="note">{formatDuration(response.ms)}</span>
            </div>
          ) : (
            <p class="muted">{isAsked ? t.checking : t.noResponse}</p>
          )}
        </div>
        <CopyAs options={options} />
      </div>
    </Panel>
  );
}
