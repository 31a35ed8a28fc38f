/** What governance says of an account, on the account's page. */

import type { JSX } from "preact";
import { localTime, utcTime } from "../format";
import { type Freeze, readMember } from "../governance";
import { useSpeech } from "../i18n";
import { live, useAsk, useLive } from "../live";
import { Standing } from "../views/governance/members";
import { to } from "../router";
import { Address, Field, Fields, Foreign, Panel } from "./basic";
import { organisationName, useGovernance, useOrganisations, Who, Words } from "./governance";

/** Nothing on a chain without governance. */
export function MemberPanel(props: { address: string }): JSX.Element | null {
  const { t } = useSpeech();
  const { head } = useLive();
  const governance = useGovernance().data;
  const governed = governance !== null && governance !== "none";
  const { address } = props;
  const organisations = useOrganisations().data;
  const member = useAsk(
    `member ${address}`,
    governed ? async () => readMember(await live().rpc.call("hawser_member", [address])) : null,
    head,
  ).data;
  if (!governed || !member) return null;
  return (
    <Panel
      title={t("account.member")}
      aside={
        <span class="links">
          <a href={to.why(address, "transfer", "any")}>{t("gov.tab.why")}</a>
          <a href={to.risk(address)}>{t("sup.tab.risk")}</a>
          <a href={to.audit(`actor=${address}`)}>{t("sup.tab.audit")}</a>
        </span>
      }
    >
      {member.status === "outsider" && <p>{t("account.member.none")}</p>}
      <Fields>
        {member.status !== "outsider" && (
          <>
            {member.name !== null && <Field name={t("gov.name")}><Foreign text={member.name} /></Field>}
            <Field name={t("gov.organisation")}>{organisationName(member.organisation, organisations)}</Field>
            <Field name={t("gov.roles")}><Words group="role" names={member.roles} /></Field>
            <Field name={t("committee.state")}><Standing member={member} /></Field>
          </>
        )}
        {member.replacedBy !== null && <Field name={t("account.replacedBy")}><Address value={member.replacedBy} whole /></Field>}
        {member.frozen && member.freeze && <FreezeField freeze={member.freeze} contract={governance.contract} />}
      </Fields>
    </Panel>
  );
}

function FreezeField(props: { freeze: Freeze; contract: string }): JSX.Element {
  const { t } = useSpeech();
  const { by, reason, until } = props.freeze;
  const name = until === null ? t("account.freeze.forever") : t("account.freeze.until", { time: `${localTime(until)} / ${utcTime(until)}` });
  return (
    <Field name={name}>
      <span class="reason"><Foreign text={reason} /></span> · <Who account={by} contract={props.contract} />
    </Field>
  );
}
