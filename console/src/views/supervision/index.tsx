import type { JSX } from "preact";
import { useSpeech } from "../../i18n";
import { Title } from "../../parts/basic";
import { Governed, Tabs } from "../../parts/governance";
import { type SupervisionPage, to } from "../../router";
import { AuditPage } from "./audit";
import { RiskPage } from "./risk";
import { ScriptPage, ScriptsPage } from "./scripts";
import { StatePage } from "./state";

/** What is frozen and what was stopped, by which rules, and everything that is on the record. */
export function SupervisionView(props: { page: SupervisionPage; argument: string | null }): JSX.Element {
  const { t } = useSpeech();
  const { page, argument } = props;
  const items = [
    { name: t("sup.tab.state"), href: to.supervision(), current: page === "state" },
    { name: t("sup.tab.scripts"), href: to.scripts(), current: page === "scripts" || page === "script" },
    { name: t("sup.tab.risk"), href: to.risk(), current: page === "risk" },
    { name: t("sup.tab.audit"), href: to.audit(), current: page === "audit" },
  ];
  return (
    <>
      <Title text={t("sup.title")} />
      <Tabs label={t("sup.title")} items={items} />
      <Governed>
        {(governance) => {
          switch (page) {
            case "state":
              return <StatePage governance={governance} />;
            case "scripts":
              return <ScriptsPage governance={governance} />;
            case "script":
              return <ScriptPage key={argument} id={Number(argument)} />;
            case "risk":
              return <RiskPage key={argument} account={argument} />;
            case "audit":
              return <AuditPage key={argument} place={argument ?? ""} />;
          }
        }}
      </Governed>
    </>
  );
}
