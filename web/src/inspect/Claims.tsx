// What a token says, and what each of it would be refused for.

import { fromNow, number } from "./figures.js";
import { Json } from "./Json.js";
import { Panel, scrolling } from "./Panel.js";
import type { Fault, Field, Judgement } from "./token.js";
import { t } from "./words.js";

interface Props {
  judgement: Judgement;
  room: string;
  token: string;
  now: number;
}

export function Claims({ judgement, room, token, now }: Props) {
  const { fields, faults } = judgement;
  const size = token && t.bytes(number(new TextEncoder().encode(token).length));
  return (
    <Panel id="claims" title={t.claims} aside={<span class="quiet">{size}</span>}>
      {token === "" ? (
        <p class="quiet pad">{t.noClaims}</p>
      ) : (
        <div class="scroller" {...scrolling(t.claims)}>
          <table class="claims">
            <caption>{t.caption(room)}</caption>
            <thead>
              <tr>
                <th scope="col">{t.claim}</th>
                <th scope="col">{t.value}</th>
                <th scope="col">{t.verdict}</th>
              </tr>
            </thead>
            <tbody>
              {faults.map((fault) => (
                <tr key={fault.why}>
                  <th scope="row">{t.whole}</th>
                  <td />
                  <td>
                    <Verdict fault={fault} />
                  </td>
                </tr>
              ))}
              {fields.map((field) => (
                <Row
                  key={`${field.part} ${field.name} ${field.raw} ${field.fault?.why}`}
                  field={field}
                  judgement={judgement}
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

const TIMES = ["exp", "nbf", "iat"];
/** What is not long, in characters. */
const LINE = 160;

function Row({ field, judgement, now }: { field: Field; judgement: Judgement; now: number }) {
  const { part, name, raw, fault, isOpen } = field;
  const { grant } = judgement;
  const meaning = Object.hasOwn(t.meaning, name) ? t.meaning[name] : t.ignored;
  const isTime = TIMES.includes(name) && /^\d{1,12}$/.test(raw);
  return (
    <tr>
      <th scope="row">
        <code>{name}</code>
        {part === "header" && <span class="note">{t.header}</span>}
      </th>
      <td>
        <code class="value">
          {raw ? <Json text={raw} lineMax={LINE} /> : <span class="quiet">{t.missing}</span>}
        </code>
        {isTime && <span class="when">{fromNow(Number(raw) * 1000, now)}</span>}
        {name === "rooms" && grant && grant.can.length > 0 && (
          <span class="when">
            {t.grants(grant.pattern)} <b>{grant.can.join(", ")}</b>
          </span>
        )}
        <span class="note">{meaning}</span>
      </td>
      <td>{isOpen ? <span class="quiet">{t.open}</span> : <Verdict fault={fault} />}</td>
    </tr>
  );
}

/** One verdict: a code and why, or that it is fine. */
export function Verdict({ fault }: { fault: Fault | undefined }) {
  if (!fault) return <span class="good">✓ {t.fine}</span>;
  return (
    <span class="bad">
      <code class="verdict">✕ {fault.code}</code>
      <span class="note">{t.why[fault.why]}</span>
    </span>
  );
}
