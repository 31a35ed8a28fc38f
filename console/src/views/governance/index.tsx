import type { JSX } from "preact";
import { useSpeech } from "../../i18n";
import { Title } from "../../parts/basic";
import { Governed, Tabs } from "../../parts/governance";
import { type GovernancePage, to } from "../../router";
import { MembersPage } from "./members";
import { ProposalPage } from "./proposal";
import { ProposalsPage } from "./proposals";
import { RulesPage } from "./rules";
import { WhyPage } from "./why";

/** Who governs the chain, what is proposed, what is allowed. */
export function GovernanceView(props: { page: GovernancePage; argument: string | null }): JSX.Element {
  const { t } = useSpeech();
  const { page, argument } = props;
  const items = [
    { name: t("gov.tab.members"), href: to.governance(), current: page === "members" },
    { name: t("gov.tab.proposals"), href: to.proposals(), current: page === "proposals" || page === "proposal" },
    { name: t("gov.tab.rules"), href: to.permissions(), current: page === "rules" },
    { name: t("gov.tab.why"), href: to.why(), current: page === "why" },
  ];
  return (
    <>
      <Title text={t("gov.title")} />
      <Tabs label={t("gov.title")} items={items} />
      <Governed>
        {(governance) => {
          switch (page) {
            case "members":
              return <MembersPage governance={governance} />;
            case "proposals":
              return <ProposalsPage governance={governance} below={argument === null ? null : Number(argument)} />;
            case "proposal":
              return <ProposalPage key={argument} id={Number(argument)} />;
            case "rules":
              return <RulesPage governance={governance} />;
            case "why":
              return <WhyPage key={argument} argument={argument} />;
          }
        }}
      </Governed>
    </>
  );
}
