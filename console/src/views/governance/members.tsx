import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { group, plain } from "../../format";
import { type Governance, type Member, type Organisation, readLinks } from "../../governance";
import { useSpeech } from "../../i18n";
import { live, useAsk, useLive } from "../../live";
import { readCommittee } from "../../model";
import { Address, Field, Fields, Foreign, Panel, Ready, ShortHash, Table } from "../../parts/basic";
import { organisationName, useMembers, useOrganisations, Who, word, Words } from "../../parts/governance";
import { to } from "../../router";

const MEMBERS_SHOWN = 25;

export function MembersPage(props: { governance: Governance }): JSX.Element {
  return (
    <>
      <Organisations />
      <Members total={props.governance.members} />
      <Validators />
      <Nodes />
    </>
  );
}

function Organisations(): JSX.Element {
  const { t, lang } = useSpeech();
  const call = useOrganisations();
  return (
    <Panel title={t("gov.organisations")}>
      <Ready call={call}>
        {(all) => {
          const weight = all.reduce((sum, one) => sum + (one.suspended ? 0 : one.weight), 0);
          return (
            <Table
              stack
              caption={t("gov.organisations")}
              rows={all}
              rowKey={(one) => one.id}
              columns={[
                { name: t("gov.number"), cell: (one) => one.id },
                {
                  name: t("gov.name"),
                  cell: (one) => (
                    <>
                      <Foreign text={one.name} class="named" />
                      {one.suspended && <span class="tag">{t("gov.suspended")}</span>}
                    </>
                  ),
                },
                { name: t("committee.weight"), number: true, cell: (one) => t("gov.of", { n: one.weight, total: weight }) },
                { name: t("gov.governors"), cell: (one) => <Accounts all={one.governors} /> },
                { name: t("gov.authorities"), cell: (one) => <Authorities organisation={one} /> },
                { name: t("gov.roots"), number: true, cell: (one) => group(one.roots.length, lang) },
              ]}
            />
          );
        }}
      </Ready>
      <p class="quiet">{t("gov.organisations.note")}</p>
    </Panel>
  );
}

function Accounts(props: { all: string[] }): JSX.Element {
  if (props.all.length === 0) return <span>–</span>;
  return (
    <ul class="plain">
      {props.all.slice(0, 8).map((account) => (
        <li key={account}>
          <Who account={account} />
        </li>
      ))}
      {props.all.length > 8 && <li class="quiet">… {props.all.length - 8}</li>}
    </ul>
  );
}

function Authorities(props: { organisation: Organisation }): JSX.Element {
  const { t } = useSpeech();
  const { authorities, authorityThreshold } = props.organisation;
  return (
    <>
      <Accounts all={authorities} />
      {authorities.length > 1 && <small class="quiet">{t("gov.authorities.needed", { n: authorityThreshold, total: authorities.length })}</small>}
    </>
  );
}

function Members(props: { total: number }): JSX.Element {
  const speech = useSpeech();
  const { t, lang } = speech;
  const call = useMembers();
  const organisations = useOrganisations().data;
  const [shown, show] = useState(MEMBERS_SHOWN);
  const [sought, seek] = useState("");
  const fits = (member: Member): boolean => {
    const needle = sought.trim().toLowerCase();
    return needle === "" || [member.account, member.name ?? "", ...member.roles, ...member.roles.map((role) => word("role", role, speech))].some((one) => one.toLowerCase().includes(needle));
  };
  return (
    <Panel
      title={`${t("gov.members")} (${group(props.total, lang)})`}
      aside={
        <input
          type="search"
          value={sought}
          onInput={(event) => seek(event.currentTarget.value)}
          placeholder={t("gov.members.filter")}
          aria-label={t("gov.members.filter")}
          autocomplete="off"
          spellcheck={false}
          maxLength={100}
        />
      }
    >
      <Ready call={call}>
        {({ all, total }) => {
          const found = all.filter(fits);
          return (
            <>
              <Table
                stack
                caption={t("gov.members")}
                rows={found.slice(0, shown)}
                rowKey={(member) => member.account}
                columns={[
                  { name: t("account.title"), cell: (member) => <Address value={member.account} name={member.name} /> },
                  { name: t("gov.organisation"), cell: (member) => organisationName(member.organisation, organisations) },
                  { name: t("gov.roles"), cell: (member) => <Words group="role" names={member.roles} /> },
                  { name: t("committee.state"), cell: (member) => <Standing member={member} /> },
                  { name: t("gov.certificate"), cell: (member) => t(member.certified ? "app.yes" : "app.no") },
                ]}
              />
              {found.length === 0 && <p class="quiet">{t("search.none")}</p>}
              {found.length > shown && (
                <button type="button" onClick={() => show(shown + 100)}>
                  {t("app.more")}
                </button>
              )}
              {all.length < total && <p class="quiet">{t("gov.members.cut", { n: all.length, total })}</p>}
            </>
          );
        }}
      </Ready>
    </Panel>
  );
}

export function Standing(props: { member: Member }): JSX.Element {
  const speech = useSpeech();
  const { member } = props;
  if (member.frozen) {
    return (
      <span class="mark bad">
        <span aria-hidden="true">❄</span> {speech.t("gov.frozen")}
      </span>
    );
  }
  const active = member.status === "active";
  return (
    <span class={active ? "mark yes" : "mark no"}>
      <span aria-hidden="true">{active ? "●" : "○"}</span> {word("account", member.status, speech)}
    </span>
  );
}

function Validators(): JSX.Element {
  const { t } = useSpeech();
  const { head, status } = useLive();
  const call = useAsk("committee", async () => readCommittee(await live().rpc.call("hawser_getValidators")), head);
  return (
    <Panel title={t("gov.validators")}>
      <Ready call={call}>
        {(committee) => (
          <>
            <Table
              caption={t("gov.validators")}
              rows={committee?.members ?? []}
              rowKey={(member) => member.address}
              columns={[
                {
                  name: t("committee.validator"),
                  cell: (member) => (
                    <>
                      <Address value={member.address} name={member.name} />
                      {member.address === status?.validator && <span class="tag">{t("committee.self")}</span>}
                    </>
                  ),
                },
                { name: t("committee.weight"), number: true, cell: (member) => t("gov.of", { n: member.weight, total: committee?.total ?? 0 }) },
              ]}
            />
            {committee && <p class="quiet">{t("gov.validators.note", { quorum: committee.quorum, total: committee.total })}</p>}
          </>
        )}
      </Ready>
    </Panel>
  );
}

/** The nodes that this one is linked with. A node's kind follows from the committee by its name. */
function Nodes(): JSX.Element {
  const { t, lang } = useSpeech();
  const { head, status } = useLive();
  const call = useAsk("links", async () => readLinks(await live().rpc.call("hawser_links")), head);
  const committee = useAsk("committee", async () => readCommittee(await live().rpc.call("hawser_getValidators")), head).data;
  const names = new Map((status?.peers ?? []).map((peer) => [peer.id, peer.name] as const));
  const validators = new Set((committee?.members ?? []).map((member) => member.name));
  return (
    <Panel title={t("gov.nodes")}>
      {status && (
        <Fields>
          <Field name={t("gov.nodes.this")}>{t(status.validator === null ? "gov.node.observer" : "gov.node.validator")}</Field>
        </Fields>
      )}
      <Ready call={call}>
        {(links) => (
          <Table
            stack
            caption={t("gov.nodes")}
            rows={links}
            rowKey={(link) => link.id}
            columns={[
              {
                name: t("nav.node"),
                cell: (link) => (
                  <>
                    {(names.get(link.id) ?? link.name) && <span class="named">{plain(names.get(link.id) ?? link.name ?? "", 60)} </span>}
                    <ShortHash value={link.id} />
                  </>
                ),
              },
              { name: t("gov.node.kind"), cell: (link) => t(validators.has(names.get(link.id) ?? link.name) ? "gov.node.validator" : "gov.node.observer") },
              { name: t("gov.organisation"), cell: (link) => (link.organisation === null ? <span class="quiet">{t("gov.node.rawKey")}</span> : <Foreign text={link.organisation} />) },
              { name: t("gov.node.cipher"), cell: (link) => (link.cipher === null ? "–" : <code>{plain(link.cipher, 60)}</code>) },
              {
                name: t("committee.state"),
                cell: (link) =>
                  link.since === null ? (
                    <span class="mark bad long">
                      <span aria-hidden="true">✕</span> {link.lastError === null ? t("gov.node.away") : plain(link.lastError, 120)}
                    </span>
                  ) : (
                    <span class="mark yes">
                      <span aria-hidden="true">●</span> {t("gov.node.linked")}
                      {link.roundTripUs !== null && ` · ${group(link.roundTripUs, lang)} µs`}
                    </span>
                  ),
              },
            ]}
          />
        )}
      </Ready>
      <p class="quiet">{t("gov.nodes.note")} <a href={to.node()}>{t("node.about")}</a></p>
    </Panel>
  );
}
