import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useSpeech } from "../i18n";
import { live, useAsk, useLive, useNow } from "../live";
import { readPool, readPoolContent } from "../model";
import { Field, Fields, Panel, Ready, Title } from "../parts/basic";
import { TransactionTable } from "../parts/transactions";
import { isMissing } from "../rpc/client";

const SHOWN = 100;
const EVERY_MS = 3_000;

export function Pool(): JSX.Element {
  const { t } = useSpeech();
  const { head } = useLive();
  const tick = Math.floor(useNow(EVERY_MS) / EVERY_MS);
  const counts = useAsk("pool", async () => readPool(await live().rpc.call("txpool_status")), `${tick} ${head}`);
  const [asked, ask] = useState(false);
  return (
    <>
      <Title text={t("pool.title")} />
      <p class="intro">{t("pool.intro")}</p>
      <Panel title={t("pool.title")}>
        {counts.error && isMissing(counts.error) && <p class="note warn">{t("pool.unsupported")}</p>}
        <Ready call={counts}>
          {({ pending, queued }) => (
            <>
              <Fields>
                <Field name={t("pool.pending")}>{t("unit.transactions", { n: pending })}</Field>
                <Field name={t("pool.queued")}>{t("unit.transactions", { n: queued })}</Field>
              </Fields>
              {!asked && pending + queued > 0 && (
                <button type="button" onClick={() => ask(true)}>
                  {t("pool.show")}
                </button>
              )}
              {pending + queued === 0 && !asked && <p class="quiet">{t("pool.empty")}</p>}
            </>
          )}
        </Ready>
        {asked && <Content tick={head} />}
      </Panel>
    </>
  );
}

function Content(props: { tick: unknown }): JSX.Element {
  const { t } = useSpeech();
  const call = useAsk("pool content", async () => readPoolContent(await live().rpc.call("txpool_content"), SHOWN), props.tick);
  return (
    <Ready call={call}>
      {(rows) =>
        rows.length === 0 ? (
          <p class="quiet">{t("pool.empty")}</p>
        ) : (
          <>
            <TransactionTable
              caption={t("pool.title")}
              state={t("pool.state")}
              rows={rows.map(({ transaction, waiting }) => ({ transaction, mark: <span class="mark">{t(`pool.state.${waiting}`)}</span> }))}
            />
            {rows.length >= SHOWN && <p class="quiet">{t("pool.shown", { n: SHOWN })}</p>}
          </>
        )
      }
    </Ready>
  );
}
