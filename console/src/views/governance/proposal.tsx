import type { JSX } from "preact";
import { executeCommand, voteCommand } from "../../commands";
import { duration, moments, plain } from "../../format";
import { least, type Proposal, readProposal, readThreshold, type Standing } from "../../governance";
import { useSpeech } from "../../i18n";
import { live, useAsk, useLive, useNow } from "../../live";
import { Bytes, Command, Field, Fields, Foreign, Panel, Ready, Table, Time } from "../../parts/basic";
import { VoteBar } from "../../parts/charts";
import { organisationName, StatusTag, useMembers, useOrganisations, Who, word, Words } from "../../parts/governance";
import { to } from "../../router";

export function ProposalPage(props: { id: number }): JSX.Element {
  const { t, lang } = useSpeech();
  const { head } = useLive();
  const { id } = props;
  const call = useAsk(`proposal ${id} ${lang}`, async () => readProposal(await live().rpc.call("hawser_proposal", [id, lang])), head);
  return (
    <Ready
      call={call}
      empty={
        <Panel title={t("gov.proposal.missing")}>
          <p>{t("gov.proposal.missing.text", { id })}</p>
        </Panel>
      }
    >
      {(proposal) => proposal && <Whole proposal={proposal} />}
    </Ready>
  );
}

function Whole(props: { proposal: Proposal }): JSX.Element {
  const { t } = useSpeech();
  const { proposal } = props;
  const organisations = useOrganisations().data;
  return (
    <>
      <Panel title={<>{t("gov.proposal", { id: proposal.id })} · <Foreign text={proposal.title} /></>} aside={<StatusTag status={proposal.status} />}>
        {proposal.description !== "" && (
          <p class="intro">
            <Foreign text={proposal.description} />
          </p>
        )}
        <Fields>
          <Field name={t("gov.author")}>
            <Who account={proposal.author} /> <span class="quiet">{organisationName(proposal.organisation, organisations)}</span>
          </Field>
          <Field name={t("gov.kinds")}><Words group="kind" names={proposal.kinds} /></Field>
          <Field name={t("gov.route")}>{t(proposal.route === "authorities" ? "gov.route.authorities" : "gov.route.governors")}</Field>
          <Field name={t("gov.submitted")}>
            <Time ms={proposal.submitted} />{" "}
            {proposal.height !== null && <a href={to.block(proposal.height)}>{t("block.title", { height: proposal.height })}</a>}
          </Field>
          <Field name={t("gov.closes")}><Moment ms={proposal.closes} until={proposal.status === "open"} /></Field>
          {proposal.executableFrom !== null && (
            <Field name={t("gov.timelock")}><Moment ms={proposal.executableFrom} until={proposal.status === "passed"} /></Field>
          )}
          {proposal.lapses !== null && <Field name={t("gov.lapses")}><Time ms={proposal.lapses} /></Field>}
          {proposal.ended !== null && <Field name={t("gov.ended")}><Time ms={proposal.ended} /></Field>}
        </Fields>
      </Panel>
      <Panel title={t("gov.votes")}>
        {proposal.standings.map((standing) => (
          <StandingRow key={standing.kind ?? ""} standing={standing} />
        ))}
        <Votes proposal={proposal} />
      </Panel>
      <Panel title={t("gov.difference")}>
        <Difference lines={proposal.difference} />
        <details>
          <summary>{t("gov.changes")}</summary>
          <Bytes value={JSON.stringify(proposal.changes, null, 2) ?? ""} />
        </details>
      </Panel>
      <Commands proposal={proposal} />
    </>
  );
}

/** A time, and how long it is until then. */
function Moment(props: { ms: number | null; until: boolean }): JSX.Element {
  const { t, lang } = useSpeech();
  const now = useNow();
  const left = props.ms === null ? 0 : props.ms - now;
  return (
    <>
      <Time ms={props.ms} />
      {props.until && left > 0 && <span class="quiet nowrap"> · {t("gov.in", { span: duration(left, lang) })}</span>}
    </>
  );
}

/** `more than 2/3 of weight` in the reader's language. */
export function Needed(props: { needed: string }): JSX.Element {
  const speech = useSpeech();
  const found = readThreshold(props.needed);
  if (!found) return <>{plain(props.needed, 120)}</>;
  const basis = word("basis", found.basis, speech);
  return <>{speech.t(found.moreThan ? "gov.moreThan" : "gov.atLeast", { n: `${found.numerator}/${found.denominator}`, basis })}</>;
}

function StandingRow(props: { standing: Standing }): JSX.Element {
  const speech = useSpeech();
  const { t } = speech;
  const { standing } = props;
  const threshold = readThreshold(standing.needed);
  // A recovery needs more than two thirds of the organisations, in other words.
  const needed = threshold ? least(threshold, standing.total) : Math.floor((standing.total * 2) / 3) + 1;
  const words = t("gov.standing", { yes: standing.yes, no: standing.no, total: standing.total, needed });
  return (
    <div class="standing">
      <p>
        <strong>{standing.kind === null ? t("gov.recovery") : word("kind", standing.kind, speech)}</strong>{" "}
        <span class="quiet"><Needed needed={standing.needed} /></span>
      </p>
      <VoteBar yes={standing.yes} no={standing.no} total={standing.total} needed={needed} words={words} />
      <p>
        <span class={standing.met ? "mark yes" : "mark no"}>
          <span aria-hidden="true">{standing.met ? "✓" : "○"}</span> {t(standing.met ? "gov.met" : "gov.notMet")}
        </span>{" "}
        {words}
      </p>
    </div>
  );
}

function Votes(props: { proposal: Proposal }): JSX.Element {
  const { t } = useSpeech();
  const members = useMembers().data?.all;
  const organisations = useOrganisations().data;
  if (props.proposal.votes.length === 0) return <p class="quiet">{t("gov.votes.none")}</p>;
  return (
    <Table
      caption={t("gov.votes")}
      rows={props.proposal.votes}
      rowKey={(vote) => vote.account}
      columns={[
        { name: t("account.title"), cell: (vote) => <Who account={vote.account} /> },
        {
          name: t("gov.organisation"),
          cell: (vote) => {
            const member = members?.find((one) => one.account === vote.account);
            return member ? organisationName(member.organisation, organisations) : "–";
          },
        },
        {
          name: t("gov.vote"),
          cell: (vote) => (
            <span class={vote.yes ? "mark yes" : "mark bad"}>
              <span aria-hidden="true">{vote.yes ? "✓" : "✕"}</span> {t(vote.yes ? "gov.yes" : "gov.no")}
            </span>
          ),
        },
      ]}
    />
  );
}

/** What is added, removed and changed, with the signs that the node writes in front. */
export function Difference(props: { lines: string[] }): JSX.Element {
  const { t } = useSpeech();
  const kind = (line: string): string => (line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "changed");
  if (props.lines.length === 0) return <p class="quiet">{t("gov.difference.none")}</p>;
  return (
    <ul class="difference">
      {props.lines.map((line, i) => (
        <li key={i} class={kind(line)}>
          <code><Foreign text={moments(line, t("sup.forever"))} /></code>
        </li>
      ))}
    </ul>
  );
}

/** Voting is signed with a key, and keys do not belong in a browser. */
function Commands(props: { proposal: Proposal }): JSX.Element | null {
  const { t } = useSpeech();
  const { id, status } = props.proposal;
  const { url } = live().rpc;
  if (status !== "open" && status !== "passed") return null;
  return (
    <Panel title={t("gov.act")}>
      <p>{t(status === "open" ? "gov.act.vote" : "gov.act.execute")}</p>
      {status === "open" && <Command text={voteCommand(id, "yes", url)} />}
      {status === "open" && <Command text={voteCommand(id, "no", url)} />}
      {status === "passed" && <Command text={executeCommand(id, url)} />}
    </Panel>
  );
}
