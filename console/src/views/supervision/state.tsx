import type { JSX } from "preact";
import { newest, NO_FILTER, writeFilter } from "../../audit";
import { unfreezeCommand } from "../../commands";
import { duration } from "../../format";
import { type Frozen, type Governance, readFreezes } from "../../governance";
import { useSpeech } from "../../i18n";
import { live, useAsk, useLive, useNow } from "../../live";
import { Age, Command, Foreign, Panel, Ready, Table } from "../../parts/basic";
import { Who } from "../../parts/governance";
import { isMissing } from "../../rpc/client";
import { to } from "../../router";
import { Entries } from "./audit";
import { Target } from "./target";

const FINDINGS = 20;
const FOUND = { ...NO_FILTER, kinds: ["intercepted" as const, "flagged" as const, "refused" as const, "frame-refused" as const] };

export function StatePage(props: { governance: Governance }): JSX.Element {
  return (
    <>
      <Freezes contract={props.governance.contract} />
      <Findings />
    </>
  );
}

function Freezes(props: { contract: string }): JSX.Element | null {
  const { t } = useSpeech();
  const { head } = useLive();
  const now = useNow(10_000);
  const call = useAsk("freezes", async () => readFreezes(await live().rpc.call("hawser_freezes")), head);
  // A node that cannot tell is no node on which nothing is frozen.
  if (call.error && isMissing(call.error)) return null;
  return (
    <Panel title={t("sup.freezes")}>
      <Ready call={call}>
        {(page) => {
          // The node's answer is as of the last block; what ended since is over.
          const standing = (page?.freezes ?? []).filter((one) => one.until === null || one.until > now);
          if (standing.length === 0) return <p class="quiet">{t("sup.freezes.none")}</p>;
          return (
            <>
              <Table
                stack
                caption={t("sup.freezes")}
                rows={standing}
                rowKey={(one) => one.target}
                columns={[
                  { name: t("sup.target"), cell: (one) => <Target text={one.target} /> },
                  { name: t("gov.reason"), cell: (one) => <Foreign text={one.reason} /> },
                  { name: t("sup.by"), cell: (one) => <Who account={one.by} contract={props.contract} /> },
                  { name: t("sup.since"), cell: (one) => <Age ms={one.since} /> },
                  { name: t("sup.until"), cell: (one) => <Until freeze={one} now={now} /> },
                ]}
              />
              {page?.next !== null && <p class="quiet">{t("sup.freezes.cut")}</p>}
              <p>{t("sup.freezes.lift")}</p>
              <Command text={unfreezeCommand(standing[0]?.target ?? "", live().rpc.url)} />
            </>
          );
        }}
      </Ready>
    </Panel>
  );
}

function Until(props: { freeze: Frozen; now: number }): JSX.Element {
  const { t, lang } = useSpeech();
  const { until } = props.freeze;
  if (until === null) return <>{t("sup.forever")}</>;
  return <span class="nowrap" title={new Date(until).toISOString()}>{t("gov.in", { span: duration(until - props.now, lang) })}</span>;
}

/** What rules of supervision and permission stopped or noted lately. */
function Findings(): JSX.Element {
  const { t } = useSpeech();
  const { head } = useLive();
  const call = useAsk("findings", () => newest(live().rpc, FOUND, null, FINDINGS), head);
  return (
    <Panel title={t("sup.findings")} aside={<a href={to.audit(writeFilter(FOUND))}>{t("sup.findings.all")}</a>}>
      <Ready call={call}>
        {(page) => (!page || page.entries.length === 0 ? <p class="quiet">{t("sup.findings.none")}</p> : <Entries entries={page.entries} />)}
      </Ready>
    </Panel>
  );
}
