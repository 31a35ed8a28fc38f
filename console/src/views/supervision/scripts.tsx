import type { JSX } from "preact";
import { type Governance, readScript } from "../../governance";
import { useSpeech } from "../../i18n";
import { live, useAsk, useLive } from "../../live";
import { Field, Fields, Foreign, Hash, Panel, Ready, ShortHash, Table, Copy } from "../../parts/basic";
import { ModeTag } from "../../parts/governance";
import { plain } from "../../format";
import { to } from "../../router";

/** The longest script that the chain takes, in characters. */
const SOURCE_MAX = 64 * 1024;

export function ScriptsPage(props: { governance: Governance }): JSX.Element {
  const { t } = useSpeech();
  const { policies } = props.governance;
  return (
    <Panel title={t("sup.tab.scripts")}>
      {policies.length === 0 ? (
        <p class="quiet">{t("sup.scripts.none")}</p>
      ) : (
        <Table
          stack
          caption={t("sup.tab.scripts")}
          rows={policies}
          rowKey={(one) => one.id}
          columns={[
            { name: t("gov.number"), cell: (one) => <a href={to.script(one.id)}>{one.id}</a> },
            { name: t("gov.name"), cell: (one) => <a href={to.script(one.id)}><Foreign text={one.name} /></a> },
            { name: t("sup.mode"), cell: (one) => <ModeTag mode={one.mode} /> },
            { name: t("sup.version"), number: true, cell: (one) => one.version },
            { name: t("sup.script"), cell: (one) => <ShortHash value={one.script} href={to.script(one.id)} /> },
          ]}
        />
      )}
      <p class="quiet">{t("sup.scripts.note")}</p>
    </Panel>
  );
}

export function ScriptPage(props: { id: number }): JSX.Element {
  const { t } = useSpeech();
  const { head } = useLive();
  const call = useAsk(`script ${props.id}`, async () => readScript(await live().rpc.call("hawser_supervisionRule", [props.id])), head);
  return (
    <Ready call={call} empty={<p class="quiet">{t("sup.script.missing", { id: props.id })}</p>}>
      {(rule) =>
        rule && (
          <>
            <Panel title={<>{t("sup.rule", { id: rule.id })} · <Foreign text={rule.name} /></>} aside={<ModeTag mode={rule.mode} />}>
              <Fields>
                <Field name={t("sup.version")}>{rule.version}</Field>
                <Field name={t("sup.mode")}>{t(rule.mode === "active" ? "sup.mode.active" : rule.mode === "shadow" ? "sup.mode.shadow" : "sup.mode.inactive")}</Field>
                <Field name={t("sup.script.hash")}><Hash value={rule.script} /></Field>
                <Field name={t("sup.findings")}><a href={to.audit("kinds=intercepted,flagged")}>{t("sup.findings.all")}</a></Field>
              </Fields>
            </Panel>
            <Panel title={t("sup.script")} aside={<Copy value={rule.source} label={t("sup.script")} />}>
              <Source text={rule.source} />
            </Panel>
          </>
        )
      }
    </Ready>
  );
}

/** A script with numbers of lines, which errors name. */
function Source(props: { text: string }): JSX.Element {
  const lines = props.text.slice(0, SOURCE_MAX).split("\n");
  if (lines.at(-1) === "") lines.pop();
  return (
    <ol class="source" tabIndex={0}>
      {lines.map((line, i) => (
        <li key={i}>
          <code>{plain(line, 4_000)}</code>
        </li>
      ))}
    </ol>
  );
}
