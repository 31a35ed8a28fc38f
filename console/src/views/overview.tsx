import type { ComponentChildren, JSX } from "preact";
import { duration, group } from "../format";
import { useSpeech } from "../i18n";
import { useLive, useNow } from "../live";
import { Panel, Ready, ShortHash, Table, Title } from "../parts/basic";
import { BlockTable, useBlocks } from "../parts/blocks";
import { Sparkline } from "../parts/charts";
import { CommitteePanel } from "../parts/committee";
import { HealthSentence } from "../parts/health";
import { to } from "../router";

const CHARTED = 40;
const LISTED = 8;

function Figure(props: { name: string; note?: ComponentChildren; children: ComponentChildren }): JSX.Element {
  return (
    <div class="figure">
      <dt>{props.name}</dt>
      <dd>
        {props.children}
        {props.note !== undefined && <small>{props.note}</small>}
      </dd>
    </div>
  );
}

export function Overview(): JSX.Element {
  const { t, lang } = useSpeech();
  const state = useLive();
  const now = useNow();
  const blocks = useBlocks(state.head, CHARTED, "overview");
  const { status, head } = state;
  // Genesis has no transactions and an arbitrary time, so it says nothing about the rate.
  const shown = (blocks.data ?? []).filter((block) => block.height > 0);
  const [newest, oldest] = [shown[0], shown.at(-1)];
  // Until now, so that the rate of a chain that stands still falls.
  const span = newest?.time && oldest?.time ? Math.max(newest.time, now) - oldest.time : 0;
  const carried = shown.slice(0, -1).reduce((sum, block) => sum + block.count, 0);
  return (
    <>
      <Title text={t("overview.title")} />
      <HealthSentence />
      <dl class="figures">
        <Figure name={t("overview.head")} note={state.pushed ? t("overview.live") : t("overview.polling")}>
          {head === null ? "–" : <a href={to.block(head)}>{group(head, lang)}</a>}
        </Figure>
        <Figure name={t("overview.age")}>
          {state.headTime === null ? "–" : duration(Math.max(1_000, now - state.headTime), lang)}
        </Figure>
        {span > 0 && (
          <Figure name={t("overview.rate")} note={t("overview.rate.note", { n: shown.length })}>
            {t("unit.perSecond", { n: Math.round((carried / span) * 10_000) / 10 })}
          </Figure>
        )}
        {status && (
          <Figure name={t("overview.pool")}>
            <a href={to.pool()}>{group(status.pending + status.queued, lang)}</a>
          </Figure>
        )}
        {status && (
          <Figure name={t("overview.peers")}>
            <a href={to.node()}>{group(status.peers.length, lang)}</a>
          </Figure>
        )}
      </dl>
      {shown.length > 0 && (
        <Panel title={t("overview.spark")}>
          <Sparkline blocks={shown} />
        </Panel>
      )}
      <div class="columns">
        <Panel title={t("overview.recent")} aside={<a href={to.blocks()}>{t("overview.all")}</a>}>
          <Ready call={blocks} empty={<p class="quiet">{t("blocks.empty")}</p>}>
            {(data) => <BlockTable blocks={data.slice(0, LISTED)} />}
          </Ready>
        </Panel>
        <CommitteePanel />
      </div>
      {status && <PeersPanel />}
    </>
  );
}

/** Every peer's height against this node's. */
export function PeersPanel(): JSX.Element | null {
  const { t, lang } = useSpeech();
  const { status } = useLive();
  if (!status) return null;
  return (
    <Panel title={t("peers.title")}>
      {status.peers.length === 0 ? (
        <p class="quiet">{t("peers.none")}</p>
      ) : (
        <Table
          caption={t("peers.title")}
          rows={[...status.peers].sort((a, b) => a.height - b.height || (a.id < b.id ? -1 : 1))}
          rowKey={(peer) => peer.id}
          columns={[
            { name: t("peers.id"), cell: (peer) => <ShortHash value={peer.id} /> },
            { name: t("peers.height"), number: true, cell: (peer) => group(peer.height, lang) },
            {
              name: t("peers.lag"),
              cell: (peer) => {
                const n = peer.height - status.height;
                if (n === 0) return <span class="mark yes">{t("peers.same")}</span>;
                // One block is the time that news takes to travel.
                return (
                  <span class={`mark ${n < -1 ? "bad" : ""}`}>
                    {n < 0 ? t("peers.behind", { n: -n }) : t("peers.ahead", { n })}
                  </span>
                );
              },
            },
          ]}
        />
      )}
    </Panel>
  );
}
