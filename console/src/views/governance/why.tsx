import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { whyCommand } from "../../commands";
import { moments, plain } from "../../format";
import { readWhy, type Why } from "../../governance";
import { useSpeech } from "../../i18n";
import { live, useAsk, useLive } from "../../live";
import { Command, Field, Fields, Foreign, Panel, Ready } from "../../parts/basic";
import { Who, word, Written } from "../../parts/governance";
import { go, to } from "../../router";

export const ACTIONS = ["join", "propose", "vote", "deploy", "call", "transfer", "read", "subscribe", "inspect", "freeze", "configure"] as const;
const KINDS = ["any", "contract", "method", "domain", "asset"] as const;

interface Question {
  account: string;
  action: string;
  resource: string;
}

/** `account/action/resource`, or null where it is none. */
export function readQuestion(argument: string | null): Question | null {
  const [account = "", action = "", ...rest] = argument?.split("/") ?? [];
  const known = ACTIONS.find((one) => one === action);
  if (!/^0x[0-9a-f]{40}$/i.test(account) || known === undefined) return null;
  return { account: account.toLowerCase(), action: known, resource: rest.join("/") || "any" };
}

export function WhyPage(props: { argument: string | null }): JSX.Element {
  const { t } = useSpeech();
  const question = readQuestion(props.argument);
  return (
    <>
      <Panel title={t("gov.why")}>
        <p class="intro">{t("gov.why.intro")}</p>
        <Form question={question} />
      </Panel>
      {question && <Answer question={question} />}
    </>
  );
}

function Form(props: { question: Question | null }): JSX.Element {
  const speech = useSpeech();
  const { t } = speech;
  const [account, setAccount] = useState(props.question?.account ?? "");
  const [action, setAction] = useState(props.question?.action ?? "transfer");
  const given = props.question?.resource ?? "any";
  const at = given.indexOf(":");
  const [kind, setKind] = useState<string>(at < 0 ? "any" : given.slice(0, at));
  const [name, setName] = useState(at < 0 ? "" : given.slice(at + 1));
  const [wrong, setWrong] = useState<string | null>(null);
  const submit = (): void => {
    const who = account.trim();
    if (!/^0x[0-9a-f]{40}$/i.test(who)) setWrong(t("gov.why.badAccount"));
    else if (kind !== "any" && name.trim() === "") setWrong(t("gov.why.badResource"));
    else {
      setWrong(null);
      go(to.why(who.toLowerCase(), action, kind === "any" ? "any" : `${kind}:${name.trim()}`));
    }
  };
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <label class="wide">
        {t("account.title")}
        <input type="text" value={account} onInput={(event) => setAccount(event.currentTarget.value)} placeholder="0x…" autocomplete="off" spellcheck={false} maxLength={60} />
      </label>
      <label>
        {t("gov.action")}
        <select value={action} onChange={(event) => setAction(event.currentTarget.value)}>
          {ACTIONS.map((one) => (
            <option key={one} value={one}>
              {word("action", one, speech)} ({one})
            </option>
          ))}
        </select>
      </label>
      <label>
        {t("gov.resource")}
        <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
          {KINDS.map((one) => (
            <option key={one} value={one}>
              {t(`gov.resource.${one}`)}
            </option>
          ))}
        </select>
      </label>
      {kind !== "any" && (
        <label class="wide">
          {t(`gov.resource.${kind as "contract"}`)}
          <input
            type="text"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
            placeholder={kind === "asset" ? "native" : kind === "method" ? "0x…:0xa9059cbb" : kind === "domain" ? "ledger" : "0x…"}
            autocomplete="off"
            spellcheck={false}
            maxLength={200}
          />
        </label>
      )}
      <button type="submit" class="primary">{t("gov.why.ask")}</button>
      {wrong !== null && <p class="bad" role="alert">{wrong}</p>}
    </form>
  );
}

function Answer(props: { question: Question }): JSX.Element {
  const speech = useSpeech();
  const { t, lang } = speech;
  const { head } = useLive();
  const { account, action, resource } = props.question;
  const call = useAsk(
    `why ${account} ${action} ${resource} ${lang}`,
    async () => readWhy(await live().rpc.call("hawser_why", [account, action, resource, lang])),
    head,
  );
  return (
    <Panel title={t("gov.why.answer")}>
      <Ready call={call}>
        {(why) =>
          why && (
            <>
              <Verdict why={why} />
              <Fields>
                <Field name={t("account.title")}><Who account={account} whole /></Field>
                <Field name={t("gov.action")}>{word("action", action, speech)} <code class="quiet">{action}</code></Field>
                <Field name={t("gov.resource")}><Written text={resource} /></Field>
                <Field name={t("gov.rule")}>
                  {/^rule:\d+$/.test(why.rule) ? <a href={to.permissions()}><Written text={why.rule} /></a> : <Written text={why.rule} />}
                </Field>
                <Field name={t("gov.reason")}><Foreign text={moments(why.reason, t("sup.forever"))} /></Field>
              </Fields>
            </>
          )
        }
      </Ready>
      <p class="quiet">{t("gov.why.same")}</p>
      <Command text={whyCommand(account, action, plain(resource, 200), live().rpc.url)} />
    </Panel>
  );
}

function Verdict(props: { why: Why }): JSX.Element {
  const { t } = useSpeech();
  const { allowed } = props.why;
  return (
    <p class={`verdict ${allowed ? "ok" : "bad"}`} role="status">
      <span aria-hidden="true">{allowed ? "✓" : "✕"}</span> {t(allowed ? "gov.why.yes" : "gov.why.no")}
    </p>
  );
}
