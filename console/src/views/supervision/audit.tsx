import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { collect, type Entry, type Filter, type Kind, KINDS, newest, readFilter, toCsv, toJson, writeFilter } from "../../audit";
import { verifyCommand } from "../../commands";
import { group, moments, plain } from "../../format";
import { useSpeech } from "../../i18n";
import { live, useAsk, useLive } from "../../live";
import { Age, Command, Foreign, Panel, Ready, ShortHash, Table } from "../../parts/basic";
import { save } from "../../parts/download";
import { Who, word } from "../../parts/governance";
import { go, to } from "../../router";
import { RuleLink, Target } from "./target";

const SHOWN = 50;

/** `filter` or `filter/below`, as it stands in the place. */
function readPlace(place: string): { filter: Filter; below: number | null } {
  const [query = "", page] = place.split("/");
  return { filter: readFilter(query), below: page !== undefined && /^\d{1,15}$/.test(page) ? Number(page) : null };
}

const placeOf = (filter: Filter, below: number | null): string => {
  const query = writeFilter(filter);
  return below === null ? query : `${query}/${below}`;
};

export function AuditPage(props: { place: string }): JSX.Element {
  const { t, lang } = useSpeech();
  const { head } = useLive();
  const { filter, below } = readPlace(props.place);
  const call = useAsk(`audit ${props.place}`, () => newest(live().rpc, filter, below, SHOWN), head);
  return (
    <>
      <Panel title={t("sup.tab.audit")}>
        <p class="intro">{t("sup.audit.intro")}</p>
        <FilterForm filter={filter} />
      </Panel>
      <Panel title={t("sup.audit.entries")} aside={call.data && <span class="quiet">{t("sup.audit.count", { n: call.data.count })}</span>}>
        <Ready call={call}>
          {(page) =>
            page && (
              <>
                {page.entries.length === 0 ? (
                  <p class="quiet">{page.next === null ? t("sup.audit.none") : t("sup.audit.farther", { n: group(page.next, lang) })}</p>
                ) : (
                  <Entries entries={page.entries} />
                )}
                <p class="pages">
                  {below !== null && <a href={to.audit(placeOf(filter, null))}>{t("blocks.newest")}</a>}
                  {page.next !== null && page.next > 1 && <a href={to.audit(placeOf(filter, page.next))}>{t("blocks.older")}</a>}
                </p>
              </>
            )
          }
        </Ready>
      </Panel>
      <Export filter={filter} />
    </>
  );
}

export function Entries(props: { entries: Entry[] }): JSX.Element {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <Table
      stack
      caption={t("sup.audit.entries")}
      rows={props.entries}
      rowKey={(entry) => entry.number}
      columns={[
        { name: t("gov.number"), cell: (entry) => entry.number },
        { name: t("blocks.age"), cell: (entry) => <Age ms={entry.time} /> },
        { name: t("sup.kind"), cell: (entry) => <span class={`mark ${level(entry.kind)}`}>{word("entry", entry.kind, speech)}</span> },
        { name: t("sup.actor"), cell: (entry) => <Who account={entry.actor} /> },
        { name: t("sup.target"), cell: (entry) => <Target text={entry.target} /> },
        { name: t("gov.rule"), cell: (entry) => <RuleLink rule={entry.rule} /> },
        { name: t("sup.detail"), cell: (entry) => <Foreign text={moments(entry.detail, t("sup.forever"))} /> },
        {
          name: t("tx.title"),
          cell: (entry) =>
            /^0x0*$/.test(entry.transaction) ? "–" : <ShortHash value={entry.transaction} href={to.transaction(entry.transaction)} />,
        },
      ]}
    />
  );
}

const level = (kind: string): string =>
  ["refused", "frame-refused", "intercepted", "frozen"].includes(kind) ? "bad" : kind === "flagged" ? "open" : "";

/** `2026-05-01T19:40` in the reader's zone, as such an input has it, and back. */
const toInput = (ms: number | null): string => {
  if (ms === null) return "";
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().slice(0, 16);
};
const fromInput = (text: string): number | null => {
  const ms = new Date(text).getTime();
  return text === "" || Number.isNaN(ms) ? null : ms;
};

function FilterForm(props: { filter: Filter }): JSX.Element {
  const speech = useSpeech();
  const { t } = speech;
  const [kinds, setKinds] = useState<Kind[]>(props.filter.kinds);
  const [actor, setActor] = useState(props.filter.actor ?? "");
  const [target, setTarget] = useState(props.filter.target ?? "");
  const [since, setSince] = useState(toInput(props.filter.since));
  const [until, setUntil] = useState(toInput(props.filter.until));
  const [wrong, setWrong] = useState(false);
  const submit = (): void => {
    const who = actor.trim().toLowerCase();
    if (who !== "" && !/^0x[0-9a-f]{40}$/.test(who)) {
      setWrong(true);
      return;
    }
    setWrong(false);
    const filter = { kinds, actor: who === "" ? null : who, target: target.trim() === "" ? null : target.trim(), since: fromInput(since), until: fromInput(until) };
    go(to.audit(placeOf(filter, null)));
  };
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <fieldset class="wide">
        <legend>{t("sup.audit.kinds")}</legend>
        {KINDS.map((kind) => (
          <label key={kind} class="check">
            <input
              type="checkbox"
              checked={kinds.includes(kind)}
              onChange={(event) => setKinds(event.currentTarget.checked ? KINDS.filter((one) => one === kind || kinds.includes(one)) : kinds.filter((one) => one !== kind))}
            />
            {word("entry", kind, speech)}
          </label>
        ))}
      </fieldset>
      <label class="wide">
        {t("sup.actor")}
        <input type="text" value={actor} onInput={(event) => setActor(event.currentTarget.value)} placeholder="0x…" autocomplete="off" spellcheck={false} maxLength={60} />
      </label>
      <label class="wide">
        {t("sup.audit.target")}
        <input type="text" value={target} onInput={(event) => setTarget(event.currentTarget.value)} placeholder="proposal:3" autocomplete="off" spellcheck={false} maxLength={200} />
      </label>
      <label>
        {t("sup.audit.since")}
        <input type="datetime-local" value={since} onInput={(event) => setSince(event.currentTarget.value)} />
      </label>
      <label>
        {t("sup.audit.until")}
        <input type="datetime-local" value={until} onInput={(event) => setUntil(event.currentTarget.value)} />
      </label>
      <button type="submit" class="primary">{t("sup.audit.apply")}</button>
      <a href={to.audit()}>{t("sup.audit.clear")}</a>
      {wrong && <p class="bad" role="alert">{t("gov.why.badAccount")}</p>}
    </form>
  );
}

type Progress = { kind: "none" } | { kind: "working"; entries: number } | { kind: "had"; name: string; entries: number; cut: boolean; verifiable: boolean } | { kind: "failed"; message: string };

function Export(props: { filter: Filter }): JSX.Element {
  const { t } = useSpeech();
  const [state, set] = useState<Progress>({ kind: "none" });
  const start = async (form: "csv" | "json"): Promise<void> => {
    set({ kind: "working", entries: 0 });
    try {
      const all = await collect(live().rpc, props.filter, (entries) => set({ kind: "working", entries }));
      const name = `audit.${form}`;
      save(name, form === "csv" ? "text/csv" : "application/json", form === "csv" ? toCsv(all.entries) : toJson(all));
      set({ kind: "had", name, entries: all.entries.length, cut: all.cut, verifiable: form === "json" && !all.filtered && !all.cut });
    } catch (error) {
      set({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
    }
  };
  const busy = state.kind === "working";
  return (
    <Panel title={t("sup.export")}>
      <p>{t("sup.export.text")}</p>
      <p class="pages">
        <button type="button" disabled={busy} onClick={() => void start("csv")}>{t("sup.export.csv")}</button>
        <button type="button" disabled={busy} onClick={() => void start("json")}>{t("sup.export.json")}</button>
      </p>
      <div role="status">
        {state.kind === "working" && <p>{t("sup.export.working", { n: state.entries })}</p>}
        {state.kind === "had" && <p>{t("sup.export.had", { n: state.entries, name: state.name })}{state.cut && ` ${t("sup.export.cut")}`}</p>}
        {state.kind === "failed" && <p class="bad">{t("sup.export.failed", { message: plain(state.message, 300) })}</p>}
      </div>
      {state.kind === "had" && state.verifiable && (
        <>
          <p>{t("sup.export.verify")}</p>
          <Command text={verifyCommand(state.name, live().rpc.url)} />
        </>
      )}
    </Panel>
  );
}
