// The token's header and claims, each with the result of its check.

import { formatNumber, formatRelativeTime } from "./format.js";
import { Json } from "./Json.js";
import { Panel, scrollable } from "./Panel.js";
import { t } from "./strings.js";
import type { Field, TokenCheck, TokenProblem } from "./token-check.js";

interface Props {
  check: TokenCheck;
  room: string;
  token: string;
  now: number;
}

export function Claims({ check, room, token, now }: Props) {
  const { fields, problems } = check;
  const size = token && t.bytes(formatNumber(new TextEncoder().encode(token).length));
  return (
    <Panel id="claims" title={t.claims} aside={<span class="muted">{size}</span>}>
      {token === "" ? (
        <p class="muted padded">{t.noClaims}</p>
      ) : (
        <div class="scroller" {...scrollable(t.claims)}>
          <table class="claims">
            <caption>{t.checkedFor(room)}</caption>
            <thead>
              <tr>
                <th scope="col">{t.claim}</th>
                <th scope="col">{t.value}</th>
                <th scope="col">{t.result}</th>
              </tr>
            </thead>
            <tbody>
              {problems.map((problem) => (
                <tr key={problem.reason}>
                  <th scope="row">{t.wholeToken}</th>
                  <td />
                  <td>
                    <CheckResult problem={problem} />
                  </td>
                </tr>
              ))}
              {fields.map((field) => (
                <Row
                  key={`${field.part} ${field.name} ${field.raw} ${field.problem?.reason}`}
                  field={field}
                  check={check}
                  now={now}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

const TIME_CLAIMS = ["exp", "nbf", "iat"];
/** Characters up to which a value stays on one line. */
const LINE_LENGTH = 160;

function Row({ field, check, now }: { field: Field; check: TokenCheck; now: number }) {
  const { part, name, raw, problem, isServerOnly } = field;
  const { grant } = check;
  const meaning = Object.hasOwn(t.claimHints, name) ? t.claimHints[name] : t.ignored;
  const isTime = TIME_CLAIMS.includes(name) && /^\d{1,12}(\.\d+)?$/.test(raw);
  return (
    <tr>
      <th scope="row">
        <code>{name}</code>
        {part === "header" && <span class="note">{t.header}</span>}
      </th>
      <td>
        <code class="value">
          {raw ? <Json text={raw} lineMax={LINE_LENGTH} /> : <span class="muted">{t.missing}</span>}
        </code>
        {isTime && <span class="annotation">{formatRelativeTime(Number(raw) * 1000, now)}</span>}
        {name === "rooms" && grant && grant.can.length > 0 && (
          <span class="annotation">
            {t.grants(grant.pattern)} <b>{grant.can.join(", ")}</b>
          </span>
        )}
        <span class="note">{meaning}</span>
      </td>
      <td>{isServerOnly ? <span class="muted">{t.serverOnly}</span> : <CheckResult problem={problem} />}</td>
    </tr>
  );
}

/** The result of one check: OK, or a code and the reason. */
export function CheckResult({ problem }: { problem: TokenProblem | undefined }) {
  if (!problem) return <span class="success">✓ {t.ok}</span>;
  return (
    <span class="error">
      <code class="problem-code">✕ {problem.code}</code>
      <span class="note">{t.reasons[problem.reason]}</span>
    </span>
  );
}
