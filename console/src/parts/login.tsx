/** The way in where a chain's reads are signed. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { loginCommand } from "../commands";
import { duration, localTime, plain, short, utcTime } from "../format";
import { type Speech, useSpeech } from "../i18n";
import { live, type LoginOutcome, useLive, useNow } from "../live";
import { Command, Panel, Title } from "./basic";

/** Why a credential was not taken, and what to do, by the rule that the node names. */
function advice(rule: string | null, { t }: Speech): string | null {
  switch (rule) {
    case "auth.token-expired":
      return t("login.why.expired");
    case "auth.token-unknown":
    case "auth.signature":
      return t("login.why.unknown");
    case "auth.token-revoked":
      return t("login.why.revoked");
    case "auth.audience":
      return t("login.why.audience");
    case "auth.malformed":
      return t("login.why.malformed");
    case "reads.revoked":
      return t("login.why.shut");
    case "auth.unsigned":
    case null:
      return null;
    default:
      return rule.startsWith("auth.") ? null : t("login.why.denied", { rule: plain(rule, 80) });
  }
}

function complaint(outcome: LoginOutcome, speech: Speech): string | null {
  const { t } = speech;
  switch (outcome.kind) {
    case "in":
      return null;
    case "fault":
      return outcome.fault === "expired" ? t("login.why.expired") : outcome.fault === "empty" ? t("login.why.empty") : t("login.why.malformed");
    case "otherChain":
      return t("login.why.chain", { token: String(outcome.token), page: String(outcome.page) });
    case "refused":
      return advice(outcome.rule, speech) ?? t("login.why.refused", { message: plain(outcome.message, 300) });
  }
}

export function LoginView(): JSX.Element {
  const speech = useSpeech();
  const { t } = speech;
  const { locked, reader } = useLive();
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string | null>(null);
  const ended = locked === null ? null : (advice(locked.rule, speech) ?? (locked.rule === "auth.unsigned" ? null : locked.message === "" ? null : plain(locked.message, 300)));
  const submit = async (): Promise<void> => {
    setBusy(true);
    const said = complaint(await live().logIn(text), speech);
    setBusy(false);
    setWrong(said);
    // A token that was taken need not stay in the page.
    if (said === null) setText("");
  };
  return (
    <>
      <Title text={t("login.title")} />
      {ended !== null && (
        <div class="note warn" role="status">
          <p>{ended}</p>
          {reader && <p>{t("login.as", { account: short(reader.account) })}</p>}
        </div>
      )}
      <Panel title={t("login.how")} class="login">
        <p>{t("login.intro")}</p>
        <ol>
          <li>
            {t("login.step.make")}
            <Command text={loginCommand(live().rpc.url)} />
          </li>
          <li>
            <form
              onSubmit={(event) => {
                event.preventDefault();
                if (!busy) void submit();
              }}
            >
              <label>
                {t("login.step.paste")}
                <input
                  type="password"
                  name="token"
                  value={text}
                  onInput={(event) => {
                    setText(event.currentTarget.value);
                    setWrong(null);
                  }}
                  autocomplete="off"
                  autocapitalize="off"
                  spellcheck={false}
                  maxLength={400}
                />
              </label>
              <button type="submit" class="primary" disabled={busy}>
                {t("login.enter")}
              </button>
            </form>
            {wrong !== null && (
              <p class="bad" role="alert">
                {wrong}
              </p>
            )}
          </li>
        </ol>
        <p class="quiet">{t("login.kept")}</p>
        <p class="quiet">{t("login.proxy")}</p>
        <button type="button" onClick={() => live().knock()}>
          {t("app.retry")}
        </button>
      </Panel>
    </>
  );
}

/** Who reads and for how long, in the top bar. */
export function ReaderBadge(): JSX.Element | null {
  const { t, lang } = useSpeech();
  const { reader } = useLive();
  const now = useNow();
  if (!reader) return null;
  const left = Math.max(0, reader.expires - now);
  return (
    <span class={`reader ${left < 60_000 ? "soon" : ""}`}>
      <span title={`${reader.account} · ${localTime(reader.expires)} · ${utcTime(reader.expires)}`}>
        <span class="sr">{t("login.reader")}: </span>
        <code>{short(reader.account, 4, 4)}</code> {t("login.left", { span: duration(left, lang) })}
      </span>
      <button type="button" onClick={() => void live().logOut()}>
        {t("login.leave")}
      </button>
    </span>
  );
}
