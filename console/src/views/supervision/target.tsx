import type { JSX } from "preact";
import { useSpeech } from "../../i18n";
import { Who, Written } from "../../parts/governance";
import { to } from "../../router";

/** What an entry or a freeze is about: an account, a contract, an asset, a proposal, or as written. */
export function Target(props: { text: string }): JSX.Element {
  const { t } = useSpeech();
  const found = /^(account|contract|asset|proposal):(.+)$/.exec(props.text);
  const name = found?.[2]?.toLowerCase() ?? "";
  const isAddress = /^0x[0-9a-f]{40}$/.test(name);
  switch (found?.[1]) {
    case "account":
      return isAddress ? <span>{t("account.title")} <Who account={name} /></span> : <Written text={props.text} />;
    case "contract":
      return isAddress ? <span>{t("account.contract")} <Who account={name} /></span> : <Written text={props.text} />;
    case "asset":
      if (name === "native") return <span>{t("sup.asset.native")}</span>;
      return isAddress ? <span>{t("sup.asset")} <Who account={name} /></span> : <Written text={props.text} />;
    case "proposal":
      return /^\d{1,15}$/.test(name) ? <a href={to.proposal(Number(name))}>{t("gov.proposal", { id: Number(name) })}</a> : <Written text={props.text} />;
    default:
      return <Written text={props.text} />;
  }
}

/** Which rule decided: a supervision rule leads to its script. */
export function RuleLink(props: { rule: string }): JSX.Element {
  const { t } = useSpeech();
  const policy = /^policy:(\d{1,9})(:shadow)?$/.exec(props.rule);
  if (policy) {
    return (
      <span>
        <a href={to.script(Number(policy[1]))}>{t("sup.rule", { id: Number(policy[1]) })}</a>
        {policy[2] !== undefined && <span class="tag">{t("gov.mode.shadow")}</span>}
      </span>
    );
  }
  if (/^rule:\d+$/.test(props.rule)) return <a href={to.permissions()}><Written text={props.rule} /></a>;
  return props.rule === "" ? <span>–</span> : <Written text={props.rule} />;
}
