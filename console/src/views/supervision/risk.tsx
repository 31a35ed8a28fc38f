import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { about, group, plain } from "../../format";
import { type Member, readRisks, type Risk } from "../../governance";
import { useSpeech } from "../../i18n";
import { live, useAsk, useNow } from "../../live";
import { Field, Fields, Panel, Ready, Table, Time } from "../../parts/basic";
import { Bars } from "../../parts/charts";
import { organisationName, useMembers, useOrganisations, Who } from "../../parts/governance";
import { go, to } from "../../router";

/** Accounts that are compared, and those shown. */
const [COMPARED, SHOWN] = [100, 20];
/** How often they are asked for again. */
const EVERY_MS = 30_000;

type Measure = "amount" | "count";
type Span = "hour" | "day" | "month";
const SPANS: Span[] = ["hour", "day", "month"];

export function RiskPage(props: { account: string | null }): JSX.Element {
  const { t } = useSpeech();
  const [measure, setMeasure] = useState<Measure>("amount");
  const [span, setSpan] = useState<Span>("day");
  return (
    <>
      <Panel title={t("sup.tab.risk")}>
        <p class="intro">{t("sup.risk.intro")}</p>
        <div class="form">
          <label>
            {t("sup.risk.measure")}
            <select value={measure} onChange={(event) => setMeasure(event.currentTarget.value === "count" ? "count" : "amount")}>
              <option value="amount">{t("sup.risk.amount")}</option>
              <option value="count">{t("sup.risk.count")}</option>
            </select>
          </label>
          <label>
            {t("sup.risk.span")}
            <select value={span} onChange={(event) => setSpan(SPANS.find((one) => one === event.currentTarget.value) ?? "day")}>
              {SPANS.map((one) => (
                <option key={one} value={one}>{t(`sup.span.${one}`)}</option>
              ))}
            </select>
          </label>
          <Lookup account={props.account} />
        </div>
      </Panel>
      {props.account !== null && <OfAccount account={props.account} />}
      <div class="columns">
        <OfOrganisations measure={measure} span={span} />
        <OfAccounts measure={measure} span={span} />
      </div>
    </>
  );
}

function Lookup(props: { account: string | null }): JSX.Element {
  const { t } = useSpeech();
  const [text, set] = useState(props.account ?? "");
  return (
    <form
      class="inline"
      onSubmit={(event) => {
        event.preventDefault();
        const account = text.trim().toLowerCase();
        if (/^0x[0-9a-f]{40}$/.test(account)) go(to.risk(account));
      }}
    >
      <label>
        {t("sup.risk.account")}
        <input type="text" value={text} onInput={(event) => set(event.currentTarget.value)} placeholder="0x…" autocomplete="off" spellcheck={false} maxLength={60} />
      </label>
      <button type="submit">{t("search.button")}</button>
    </form>
  );
}

/** What a chart needs of a subject. */
function useSaid(measure: Measure, span: Span): (risk: Risk) => { value: bigint; said: string } {
  const { t, lang } = useSpeech();
  return (risk) => {
    const window = risk[span];
    return measure === "count"
      ? { value: BigInt(window.count), said: t("unit.transactions", { n: window.count }) }
      : { value: window.amount, said: t("unit.coins", { n: about(window.amount, lang) }) };
  };
}

function OfOrganisations(props: { measure: Measure; span: Span }): JSX.Element {
  const { t, lang } = useSpeech();
  const tick = Math.floor(useNow() / EVERY_MS);
  const said = useSaid(props.measure, props.span);
  const call = useAsk("risk", async () => readRisks(await live().rpc.call("hawser_risk")), tick);
  const name = (risk: Risk): string => plain(risk.organisationName ?? String(risk.organisation ?? ""), 60);
  return (
    <Panel title={t("gov.organisations")}>
      <Ready call={call}>
        {(risks) => (
          <>
            <Bars caption={t("sup.risk.organisations")} rows={risks.map((risk) => ({ name: name(risk), ...said(risk) }))} />
            <Table
              caption={t("sup.risk.organisations")}
              rows={risks}
              rowKey={(risk) => risk.organisation ?? 0}
              columns={[
                { name: t("gov.organisation"), cell: name },
                { name: t("sup.risk.flags"), number: true, cell: (risk) => group(risk.flags, lang) },
                { name: t("sup.risk.denials"), number: true, cell: (risk) => group(risk.denials, lang) },
              ]}
            />
          </>
        )}
      </Ready>
    </Panel>
  );
}

const larger = (a: bigint, b: bigint): number => (a > b ? -1 : a < b ? 1 : 0);

function OfAccounts(props: { measure: Measure; span: Span }): JSX.Element {
  const { t, lang } = useSpeech();
  const tick = Math.floor(useNow() / EVERY_MS);
  const said = useSaid(props.measure, props.span);
  const members = useMembers().data;
  const compared: Member[] = members?.all.slice(0, COMPARED) ?? [];
  const call = useAsk(
    `risks ${compared.length}`,
    members === null
      ? null
      : async () => {
          const all = await Promise.all(compared.map(async (one) => readRisks(await live().rpc.call("hawser_risk", [{ account: one.account }]))));
          return all.flat();
        },
    tick,
  );
  const names = new Map(compared.map((member) => [member.account, member.name] as const));
  return (
    <Panel title={t("sup.risk.accounts")}>
      <Ready call={call}>
        {(risks) => {
          const sorted = [...risks].sort((a, b) => b.denials - a.denials || b.flags - a.flags || larger(said(a).value, said(b).value));
          const busy = [...risks].filter((risk) => said(risk).value > 0n).sort((a, b) => larger(said(a).value, said(b).value));
          return (
            <>
              {busy.length === 0 ? (
                <p class="quiet">{t("sup.risk.quiet")}</p>
              ) : (
                <Bars
                  caption={t("sup.risk.accounts")}
                  rows={busy.slice(0, SHOWN).map((risk) => ({ name: plain(names.get(risk.account ?? "") ?? risk.account ?? "", 40), ...said(risk) }))}
                />
              )}
              <Table
                caption={t("sup.risk.accounts")}
                rows={sorted.slice(0, SHOWN)}
                rowKey={(risk) => risk.account ?? ""}
                columns={[
                  {
                    name: t("account.title"),
                    cell: (risk) => <a href={to.risk(risk.account ?? undefined)}>{plain(names.get(risk.account ?? "") ?? risk.account ?? "", 60)}</a>,
                  },
                  { name: t("sup.risk.flags"), number: true, cell: (risk) => group(risk.flags, lang) },
                  { name: t("sup.risk.denials"), number: true, cell: (risk) => group(risk.denials, lang) },
                ]}
              />
              {(members?.total ?? 0) > compared.length && <p class="quiet">{t("sup.risk.cut", { n: compared.length, total: members?.total ?? 0 })}</p>}
            </>
          );
        }}
      </Ready>
    </Panel>
  );
}

function OfAccount(props: { account: string }): JSX.Element {
  const { t, lang } = useSpeech();
  const tick = Math.floor(useNow() / EVERY_MS);
  const organisations = useOrganisations().data;
  const { account } = props;
  const call = useAsk(`risk ${account}`, async () => readRisks(await live().rpc.call("hawser_risk", [{ account }]))[0] ?? null, tick);
  return (
    <Panel title={<>{t("account.title")} <Who account={account} /></>} aside={<a href={to.audit(`actor=${account}`)}>{t("sup.tab.audit")}</a>}>
      <Ready call={call}>
        {(risk) =>
          risk && (
            <div class="columns">
              <Fields>
                <Field name={t("gov.organisation")}>{risk.organisation === null ? "–" : organisationName(risk.organisation, organisations)}</Field>
                <Field name={t("sup.risk.first")}><Time ms={risk.firstSeen} /></Field>
                <Field name={t("sup.risk.flags")}>{group(risk.flags, lang)}</Field>
                <Field name={t("sup.risk.denials")}>{group(risk.denials, lang)}</Field>
              </Fields>
              <div>
                <h3>{t("sup.risk.amount")}</h3>
                <Bars caption={t("sup.risk.amount")} rows={SPANS.map((one) => ({ name: t(`sup.span.${one}`), value: risk[one].amount, said: t("unit.coins", { n: about(risk[one].amount, lang) }) }))} />
                <h3>{t("sup.risk.count")}</h3>
                <Bars caption={t("sup.risk.count")} rows={SPANS.map((one) => ({ name: t(`sup.span.${one}`), value: BigInt(risk[one].count), said: t("unit.transactions", { n: risk[one].count }) }))} />
              </div>
            </div>
          )
        }
      </Ready>
    </Panel>
  );
}
