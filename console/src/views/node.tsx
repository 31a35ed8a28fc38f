import type { JSX } from "preact";
import { group, plain } from "../format";
import { step, useSpeech } from "../i18n";
import { live, useAsk, useLive } from "../live";
import { Address, Field, Fields, Foreign, Hash, Loading, Panel, Title } from "../parts/basic";
import { WaitingList } from "../parts/health";
import { to } from "../router";
import { PeersPanel } from "./overview";

export function Node(): JSX.Element {
  const speech = useSpeech();
  const { t, lang } = speech;
  const { status, errorCode } = useLive();
  const version = useAsk("version", async () => {
    const answer = await live().rpc.call("web3_clientVersion");
    return typeof answer === "string" ? answer : null;
  }).data;
  return (
    <>
      <Title text={t("node.title")} />
      {status && (
        <Panel title={t("node.readiness")}>
          <p>
            <span class={status.ready ? "mark yes" : "mark bad"}>
              <span aria-hidden="true">{status.ready ? "✓" : "✕"}</span> {t(status.ready ? "node.ready" : "node.notReady")}
            </span>
          </p>
          <h3>{t("waiting.title")}</h3>
          {status.waiting.length === 0 ? <p class="quiet">{t("waiting.none")}</p> : <WaitingList waiting={status.waiting} />}
        </Panel>
      )}
      <Panel title={t("node.about")}>
        {!status && errorCode === null && <Loading />}
        <Fields>
          <Field name={t("node.version")}>{version === null ? "–" : <Foreign text={version} />}</Field>
          {status && (
            <>
              <Field name={t("node.chain")}><Foreign text={status.name} /></Field>
              <Field name={t("node.chainId")}>{status.chainId ?? "–"}</Field>
              <Field name={t("node.genesis")}><Hash value={status.genesis} /></Field>
              <Field name={t("node.suite")}>
                {status.suite === "intl" || status.suite === "sm" ? t(`node.suite.${status.suite}`) : plain(status.suite, 40)}
              </Field>
              <Field name={t("node.role")}>
                {status.validator === null ? t("node.role.observer") : <>{t("node.role.validator")} <Address value={status.validator} whole /></>}
              </Field>
              <Field name={t("node.height")}><a href={to.block(status.height)}>{group(status.height, lang)}</a></Field>
              <Field name={t("node.executed")}>{group(status.executed, lang)}</Field>
              <Field name={t("node.deciding")}>
                {status.deciding === null
                  ? t("node.deciding.idle")
                  : t("node.deciding.text", { height: status.deciding, round: status.round, step: step(status.step, speech) })}
              </Field>
              <Field name={t("node.syncing")}>{t(status.syncing ? "app.yes" : "app.no")}</Field>
            </>
          )}
        </Fields>
      </Panel>
      {status && <PeersPanel />}
      <Panel title={t("node.metrics")}>
        <p>{t("node.metrics.text")}</p>
        <ul class="links">
          {["metrics", "livez", "readyz?verbose"].map((path) => (
            <li key={path}>
              <a href={`./${path}`} target="_blank" rel="noreferrer noopener"><code>/{path}</code></a>
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}
