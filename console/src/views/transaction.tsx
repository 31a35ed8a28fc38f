import type { JSX } from "preact";
import { bytes, coins, localTime, zone } from "../format";
import { useSpeech } from "../i18n";
import { live, useAsk, useLive } from "../live";
import {
  type Log, readReceipt, readTransaction, type Receipt, revertReason, selectorName, topicName, type Transaction,
} from "../model";
import { Address, Bytes, Field, Fields, Foreign, Hash, Panel, Ready, Time, Title } from "../parts/basic";
import { StatusMark, typeName } from "../parts/transactions";
import { to } from "../router";

export function TransactionView(props: { hash: string }): JSX.Element {
  const { t } = useSpeech();
  const { head } = useLive();
  const { hash } = props;
  const call = useAsk(`transaction ${hash}`, async () => readTransaction(await live().rpc.call("eth_getTransactionByHash", [hash])), head);
  return (
    <>
      <Title text={t("tx.title")} />
      <Ready
        call={call}
        empty={
          <Panel title={t("tx.missing")}>
            <p>{t("tx.missing.text")}</p>
            <Hash value={hash} />
          </Panel>
        }
      >
        {(transaction) => <Known transaction={transaction} />}
      </Ready>
    </>
  );
}

function Known(props: { transaction: Transaction }): JSX.Element {
  const speech = useSpeech();
  const { t, lang } = speech;
  const { transaction } = props;
  const { native, block } = transaction;
  const placed = block !== null;
  const receipt = useAsk(
    `receipt ${transaction.hash} ${block}`,
    placed ? async () => readReceipt(await live().rpc.call("eth_getTransactionReceipt", [transaction.hash])) : null,
  ).data;
  const time = useAsk(`time of block ${block}`, block !== null ? async () => (await live().block(block))?.time ?? null : null).data;
  const size = (input: string): number => Math.max(0, (input.length - 2) / 2);
  return (
    <>
      <Panel title={t("tx.details")}>
        <Fields>
          <Field name={t("tx.hash")}><Hash value={transaction.hash} /></Field>
          <Field name={t("tx.status")}>
            {placed ? <StatusMark receipt={receipt} /> : <span class="mark">{t("tx.status.pending")}</span>}
          </Field>
          {receipt?.ok === false && <Field name={t("tx.reason")}><Reason hash={transaction.hash} receipt={receipt} /></Field>}
          {block !== null && (
            <Field name={t("tx.block")}>
              <a href={to.block(block)}>{t("tx.block.at", { height: block, index: transaction.index ?? 0 })}</a>
            </Field>
          )}
          {time !== null && <Field name={t("tx.time")}><Time ms={time} /></Field>}
          <Field name={t("tx.type")}>{typeName(transaction.type, speech)}</Field>
          <Field name={t("tx.from")}><Address value={transaction.from} whole /></Field>
          {(!native || native.calls.length < 2) && (
            <Field name={t("tx.to")}>
              {transaction.to === null ? t("tx.create") : <Address value={transaction.to} whole />}
            </Field>
          )}
          {receipt?.contract && <Field name={t("tx.contract")}><Address value={receipt.contract} whole /></Field>}
          {(!native || native.calls.length < 2) && (
            <Field name={t("tx.value")}>{t("unit.coins", { n: coins(transaction.value, lang) })}</Field>
          )}
          <Field name={t("tx.nonce")}>
            {native?.ordering?.kind === "unordered" ? (
              <>
                {t("tx.unordered")}
                {native.ordering.expires !== null && (
                  <>{t("list.comma")}{t("tx.expires", { time: `${localTime(native.ordering.expires)} (${zone(native.ordering.expires)})` })}</>
                )}
                {native.ordering.salt !== null && <>{t("list.comma")}{t("tx.salt", { salt: native.ordering.salt })}</>}
              </>
            ) : (
              (transaction.nonce?.toString() ?? "–")
            )}
          </Field>
          <Field name={t("tx.gas")}>
            {receipt?.gasUsed != null
              ? t("tx.gas.of", { used: t("unit.gas", { n: receipt.gasUsed }), limit: t("unit.gas", { n: transaction.gas ?? 0n }) })
              : t("tx.gas.limit", { limit: t("unit.gas", { n: transaction.gas ?? 0n }) })}
          </Field>
          {native?.scheme && <Field name={t("tx.signature")}>{native.scheme}</Field>}
          {native?.signer && <Field name={t("tx.signer")}><Hash value={native.signer} /></Field>}
          {(!native || native.calls.length < 2) && (
            <Field name={t("tx.input")}>
              <Input input={transaction.input} size={size(transaction.input)} />
            </Field>
          )}
        </Fields>
      </Panel>
      {native && native.calls.length > 1 && (
        <Panel title={t("tx.calls")} aside={<span class="quiet">{t("tx.calls.text")}</span>}>
          {native.calls.map((call, i) => (
            <section key={i} class="sub">
              <h3>{t("tx.call", { n: i + 1 })}</h3>
              <Fields>
                <Field name={t("tx.to")}>{call.to === null ? t("tx.create") : <Address value={call.to} whole />}</Field>
                <Field name={t("tx.value")}>{t("unit.coins", { n: coins(call.value, lang) })}</Field>
                <Field name={t("tx.input")}><Input input={call.input} size={size(call.input)} /></Field>
              </Fields>
            </section>
          ))}
        </Panel>
      )}
      {receipt && (
        <Panel title={t("tx.logs")}>
          {receipt.logs.length === 0 ? <p class="quiet">{t("tx.logs.none")}</p> : receipt.logs.map((log, i) => <LogView key={i} log={log} n={i + 1} />)}
        </Panel>
      )}
    </>
  );
}

function Input(props: { input: string; size: number }): JSX.Element {
  const { t, lang } = useSpeech();
  if (props.size === 0) return <span class="quiet">{t("tx.input.none")}</span>;
  const method = selectorName(props.input);
  return (
    <>
      <p>
        {t("tx.input.bytes", { size: bytes(props.size, lang) })}
        {method && <> · {t("tx.method")} <code>{method}</code></>}
      </p>
      <Bytes value={props.input} />
    </>
  );
}

/** The revert reason: from the receipt, or else by tracing the transaction again. */
function Reason(props: { hash: string; receipt: Receipt }): JSX.Element {
  const { t } = useSpeech();
  const traced = useAsk(
    `trace ${props.hash}`,
    props.receipt.revert === null
      ? async () => {
          const trace = (await live().rpc.call("debug_traceTransaction", [props.hash, { tracer: "callTracer" }])) as Record<string, unknown> | null;
          const [output, error] = [trace?.["output"], trace?.["error"]];
          if (typeof output === "string" && output.length > 2) return output;
          return typeof error === "string" ? error : null;
        }
      : null,
  ).data;
  const data = props.receipt.revert ?? traced;
  if (data === null) return <span class="quiet">{props.receipt.outcome ?? t("tx.reason.unknown")}</span>;
  const reason = revertReason(data);
  if (reason.kind === "panic") return <code>{t("tx.reason.panic", { code: reason.text })}</code>;
  return reason.kind === "text" ? <Foreign text={reason.text} class="reason" /> : <Bytes value={reason.text} />;
}

/** One event; `place` adds the transaction that emitted it. */
export function LogView(props: { log: Log; n: number; place?: boolean }): JSX.Element {
  const { t } = useSpeech();
  const { log } = props;
  const name = log.topics[0] ? topicName(log.topics[0]) : null;
  return (
    <section class="sub">
      <h3>
        {t("tx.log", { n: props.n })} {name && <code>{name}</code>}
      </h3>
      <Fields>
        <Field name={t("tx.log.emitter")}><Address value={log.address} whole /></Field>
        {props.place && log.transaction !== null && (
          <Field name={t("tx.title")}><Hash value={log.transaction} href={to.transaction(log.transaction)} /></Field>
        )}
        {log.topics.length > 0 && (
          <Field name={t("tx.log.topics")}>
            <ol class="topics" start={0}>
              {log.topics.map((topic, i) => <li key={i}><Hash value={topic} /></li>)}
            </ol>
          </Field>
        )}
        {log.data.length > 2 && <Field name={t("tx.log.data")}><Bytes value={log.data} /></Field>}
      </Fields>
    </section>
  );
}

