import type { JSX } from "preact";
import { type Governance, type Proposal, readProposals } from "../../governance";
import { useSpeech } from "../../i18n";
import { live, useAsk, useLive } from "../../live";
import { Age, Foreign, Panel, Ready, Table } from "../../parts/basic";
import { StatusTag, Who, Words } from "../../parts/governance";
import { to } from "../../router";

const SHOWN = 25;

export function ProposalsPage(props: { governance: Governance; below: number | null }): JSX.Element {
  const { t } = useSpeech();
  const { head } = useLive();
  const { below, governance } = props;
  const call = useAsk(
    `proposals ${below}`,
    async () => readProposals(await live().rpc.call("hawser_proposals", below === null ? [] : [below])),
    head,
  );
  const columns = [
    { name: t("gov.number"), cell: (one: Proposal) => <a href={to.proposal(one.id)}>{one.id}</a> },
    {
      name: t("gov.proposal.title"),
      cell: (one: Proposal) => (
        <a href={to.proposal(one.id)}>
          <Foreign text={one.title} />
        </a>
      ),
    },
    { name: t("committee.state"), cell: (one: Proposal) => <StatusTag status={one.status} /> },
    { name: t("gov.kinds"), cell: (one: Proposal) => <Words group="kind" names={one.kinds} /> },
    { name: t("gov.author"), cell: (one: Proposal) => <Who account={one.author} /> },
    { name: t("blocks.age"), cell: (one: Proposal) => <Age ms={one.submitted} /> },
  ];
  return (
    <Panel title={t("gov.tab.proposals")}>
      <Ready call={call}>
        {(all) =>
          all.length === 0 ? (
            <p class="quiet">{t("gov.proposals.none")}</p>
          ) : (
            <>
              <Table stack caption={t("gov.tab.proposals")} rows={all.slice(0, SHOWN)} rowKey={(one) => one.id} columns={columns} />
              <p class="pages">
                {below !== null && <a href={to.proposals()}>{t("blocks.newest")}</a>}
                {all.length > SHOWN && <a href={to.proposals(all[SHOWN - 1]?.id ?? governance.proposals)}>{t("blocks.older")}</a>}
              </p>
            </>
          )
        }
      </Ready>
      <p class="quiet">{t("gov.proposals.how")}</p>
    </Panel>
  );
}
