import type { JSX } from "preact";
import { duration, group, plain } from "../../format";
import { type Governance, readSettings, type Settings } from "../../governance";
import { type Key, messages, useSpeech } from "../../i18n";
import { live, useAsk, useLive } from "../../live";
import { Field, Fields, Foreign, Panel, Ready, Table } from "../../parts/basic";
import { Needed } from "./proposal";
import { word, Words, Written } from "../../parts/governance";

/** Parameters of the chain, and who may do what. */
export function RulesPage(props: { governance: Governance }): JSX.Element {
  const { governance } = props;
  return (
    <>
      <div class="columns">
        <Constitution governance={governance} />
        <Thresholds governance={governance} />
      </div>
      <Parameters />
      <Roles governance={governance} />
      <Permissions governance={governance} />
    </>
  );
}

function Constitution(props: { governance: Governance }): JSX.Element {
  const speech = useSpeech();
  const { t, lang } = speech;
  const { governance } = props;
  return (
    <Panel title={t("gov.constitution")}>
      <Fields>
        <Field name={t("gov.accountMode")}>{word("mode", governance.accountMode, speech)}</Field>
        {governance.accountMode === "open" && (
          <Field name={t("gov.publicActions")}><Words group="action" names={governance.publicActions} /></Field>
        )}
        <Field name={t("gov.signedReads")}>{t(governance.signedReads ? "app.yes" : "app.no")}</Field>
        <Field name={t("gov.timeLock")}>{duration(governance.timeLockMs, lang)}</Field>
        <Field name={t("gov.voting")}>{duration(governance.votingMs, lang)}</Field>
      </Fields>
    </Panel>
  );
}

function Thresholds(props: { governance: Governance }): JSX.Element {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <Panel title={t("gov.thresholds")}>
      <Table
        caption={t("gov.thresholds")}
        rows={props.governance.thresholds}
        rowKey={(one) => one.kind}
        columns={[
          { name: t("gov.kinds"), cell: (one) => word("kind", one.kind, speech) },
          { name: t("gov.needed"), cell: (one) => <Needed needed={one.needed} /> },
        ]}
      />
    </Panel>
  );
}

function Parameters(): JSX.Element {
  const { t, lang } = useSpeech();
  const { head } = useLive();
  const call = useAsk("settings", async () => readSettings(await live().rpc.call("hawser_getSettings")), head);
  const name = (key: string): string => {
    const known = `gov.parameter.${key}`;
    return known in messages[lang] ? t(known as Key) : "";
  };
  return (
    <Panel title={t("gov.parameters")}>
      <Ready call={call}>
        {(settings) =>
          settings && (
            <>
              <Table
                caption={t("gov.parameters")}
                rows={settings.parameters}
                rowKey={([key]) => key}
                columns={[
                  { name: t("gov.parameter"), cell: ([key]) => <><code>{plain(key, 60)}</code> <span class="quiet">{name(key)}</span></> },
                  { name: t("gov.value"), number: true, cell: ([, value]) => <code class="value">{/^\d{1,15}$/.test(value) ? group(Number(value), lang) : plain(value, 200)}</code> },
                ]}
              />
              <p class="quiet">{t("gov.parameters.protocol", { protocol: settings.protocol ?? 0 })}</p>
              <Pending settings={settings} />
            </>
          )
        }
      </Ready>
    </Panel>
  );
}

function Pending(props: { settings: Settings }): JSX.Element | null {
  const { t } = useSpeech();
  const { settings } = props;
  if (settings.pending.length === 0) return null;
  const now = new Map(settings.parameters);
  return (
    <>
      <h3>{t("gov.pending")}</h3>
      {settings.pending.map((next) => (
        <div key={next.from}>
          <p>{t("gov.pending.from", { height: next.from, validators: next.validators, protocol: next.protocol ?? 0 })}</p>
          <ul class="difference">
            {next.parameters
              .filter(([key, value]) => now.get(key) !== value)
              .map(([key, value]) => (
                <li key={key} class="changed">
                  <code>{plain(`~ ${key}: ${now.get(key) ?? "–"} → ${value}`, 300)}</code>
                </li>
              ))}
          </ul>
        </div>
      ))}
    </>
  );
}

function Roles(props: { governance: Governance }): JSX.Element {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <Panel title={t("gov.roles")}>
      <Table
        stack
        caption={t("gov.roles")}
        rows={props.governance.roles}
        rowKey={(one) => one.role}
        columns={[
          { name: t("gov.role"), cell: (one) => (one.role === one.name ? word("role", one.role, speech) : <><Foreign text={one.name} /> <code class="quiet">{plain(one.role, 20)}</code></>) },
          { name: t("gov.actions"), cell: (one) => <Words group="action" names={one.actions} /> },
        ]}
      />
    </Panel>
  );
}

function Permissions(props: { governance: Governance }): JSX.Element {
  const { t } = useSpeech();
  const { rules } = props.governance;
  return (
    <Panel title={t("gov.permissions")}>
      {rules.length === 0 ? (
        <p class="quiet">{t("gov.permissions.none")}</p>
      ) : (
        <Table
          stack
          caption={t("gov.permissions")}
          rows={rules}
          rowKey={(one) => one.id}
          columns={[
            { name: t("gov.number"), cell: (one) => <code>rule:{one.id}</code> },
            {
              name: t("gov.effect"),
              cell: (one) => (
                <span class={one.effect === "allow" ? "mark yes" : "mark bad"}>
                  <span aria-hidden="true">{one.effect === "allow" ? "✓" : "✕"}</span> {t(one.effect === "allow" ? "gov.allow" : "gov.deny")}
                </span>
              ),
            },
            { name: t("gov.subject"), cell: (one) => <Written text={one.subject} /> },
            { name: t("gov.actions"), cell: (one) => <Words group="action" names={one.actions} /> },
            { name: t("gov.resource"), cell: (one) => <Written text={one.resource} /> },
            { name: t("gov.note"), cell: (one) => (one.note === "" ? "–" : <Foreign text={one.note} />) },
          ]}
        />
      )}
    </Panel>
  );
}
