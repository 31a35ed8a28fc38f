/** What the views of governance and supervision share. */

import type { ComponentChildren, JSX } from "preact";
import { plain } from "../format";
import { type Governance, type Member, readGovernance, readMembers, readOrganisations, type Organisation } from "../governance";
import { type Key, messages, type Speech, useSpeech } from "../i18n";
import { type Call, live, useAsk, useLive } from "../live";
import { isMissing } from "../rpc/client";
import { Address, Failure, Foreign, Loading } from "./basic";

/** Members in one answer of the node, and most that are looked at for their names. */
const NAMED_MAX = 1_000;

export function useGovernance(): Call<Governance | "none" | null> {
  const { head } = useLive();
  return useAsk("governance", async () => readGovernance(await live().rpc.call("hawser_governance")), head);
}

/** Its content on a governed chain; elsewhere one line that says so. */
export function Governed(props: { children: (governance: Governance) => ComponentChildren }): JSX.Element {
  const { t } = useSpeech();
  const call = useGovernance();
  if (call.error && isMissing(call.error)) return <p class="quiet">{t("gov.unknown")}</p>;
  if (call.data === "none") return <p class="quiet">{t("gov.none")}</p>;
  if (call.data !== null) return <>{props.children(call.data)}</>;
  if (call.error) return <Failure error={call.error} retry={call.retry} />;
  return <Loading />;
}

/** Members by account, as many as the node tells in a few answers. */
export function useMembers(): Call<{ all: Member[]; total: number }> {
  const { head } = useLive();
  return useAsk(
    "members",
    async () => {
      const all: Member[] = [];
      let total = 0;
      let from: number | null = 0;
      while (from !== null && all.length < NAMED_MAX) {
        const page = readMembers(await live().rpc.call("hawser_members", [from]));
        all.push(...(page?.members ?? []));
        total = page?.total ?? all.length;
        from = page?.next != null && page.next > from ? page.next : null;
      }
      return { all, total };
    },
    head,
  );
}

export function useOrganisations(): Call<Organisation[]> {
  const { head } = useLive();
  return useAsk("organisations", async () => readOrganisations(await live().rpc.call("hawser_organisations")), head);
}

/** The name of an organisation for people; its number where it is not known. */
export const organisationName = (id: number, all: Organisation[] | null): string =>
  plain(all?.find((one) => one.id === id)?.name ?? String(id), 80);

/** An account with the name that governance has for it. */
export function Who(props: { account: string; whole?: boolean; contract?: string }): JSX.Element {
  const { t } = useSpeech();
  const members = useMembers().data;
  if (props.account === "") return <span>–</span>;
  const named = members?.all.find((member) => member.account === props.account)?.name;
  const name = named ?? (props.account === props.contract ? t("gov.itself") : null);
  return <Address value={props.account} name={name} {...(props.whole ? { whole: true } : {})} />;
}

/** A word of the node in the reader's language, where there is one. */
export function word(group: "role" | "action" | "kind" | "status" | "mode" | "account" | "entry" | "basis", name: string, { t, lang }: Speech): string {
  const key = `gov.${group}.${name}`;
  return key in messages[lang] ? t(key as Key) : plain(name, 60);
}

export function Words(props: { group: "role" | "action" | "kind"; names: string[] }): JSX.Element {
  const speech = useSpeech();
  return <>{props.names.map((name) => word(props.group, name, speech)).join(speech.t("list.comma"))}</>;
}

/** Where a proposal stands, with a sign beside the colour. */
export function StatusTag(props: { status: string }): JSX.Element {
  const speech = useSpeech();
  const [level, icon] =
    props.status === "executed" ? ["yes", "✓"]
    : props.status === "passed" ? ["yes", "◐"]
    : props.status === "open" ? ["open", "○"]
    : props.status === "rejected" ? ["bad", "✕"]
    : ["no", "–"];
  return (
    <span class={`mark ${level}`}>
      <span aria-hidden="true">{icon}</span> {word("status", props.status, speech)}
    </span>
  );
}

/** How a supervision rule is used: it decides, it only notes, or it rests. */
export function ModeTag(props: { mode: string }): JSX.Element {
  const speech = useSpeech();
  const [level, icon] = props.mode === "active" ? ["yes", "●"] : props.mode === "shadow" ? ["open", "◌"] : ["no", "–"];
  return (
    <span class={`mark ${level}`}>
      <span aria-hidden="true">{icon}</span> {word("mode", props.mode, speech)}
    </span>
  );
}

/** A resource, a target or a rule as the node writes it, with addresses kept whole. */
export function Written(props: { text: string }): JSX.Element {
  return props.text === "" ? <span>–</span> : <code><Foreign text={props.text} /></code>;
}

/** Pages of one section. */
export function Tabs(props: { label: string; items: { name: string; href: string; current: boolean }[] }): JSX.Element {
  return (
    <nav class="tabs" aria-label={props.label}>
      <ul>
        {props.items.map((item) => (
          <li key={item.href}>
            <a href={item.href} {...(item.current ? { "aria-current": "page" as const } : {})}>
              {item.name}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
