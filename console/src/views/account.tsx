import type { JSX } from "preact";
import { bytes, coins, plain, quantity, toHex } from "../format";
import { useSpeech } from "../i18n";
import { live, useAsk, useLive } from "../live";
import { readCommittee, readLogs, readPoolContent } from "../model";
import { Address, Bytes, Field, Fields, Hash, Panel, Ready, Title } from "../parts/basic";
import { MemberPanel } from "../parts/member";
import { TransactionTable } from "../parts/transactions";
import { isMissing } from "../rpc/client";
import { LogView } from "./transaction";

const EVENT_BLOCKS = 1_000;
const EVENTS_SHOWN = 20;
const PENDING_SHOWN = 50;

export function Account(props: { address: string }): JSX.Element {
  const { t, lang } = useSpeech();
  const { head } = useLive();
  const { address } = props;
  const call = useAsk(
    `account ${address}`,
    async () => {
      const { rpc } = live();
      const [balance, nonce, code] = await Promise.all([
        rpc.call("eth_getBalance", [address, "latest"]),
        rpc.call("eth_getTransactionCount", [address, "latest"]),
        rpc.call("eth_getCode", [address, "latest"]),
      ]);
      return { balance: quantity(balance), nonce: quantity(nonce), code: typeof code === "string" ? code : "0x" };
    },
    head,
  );
  const committee = useAsk("committee", async () => readCommittee(await live().rpc.call("hawser_getValidators"))).data;
  const validator = committee?.members.find((member) => member.address === address);
  const code = call.data?.code ?? "0x";
  const delegate = /^0xef0100([0-9a-f]{40})$/i.exec(code)?.[1];
  const contract = code.length > 2 && delegate === undefined;
  return (
    <>
      <Title text={contract ? t("account.contract") : t("account.title")} />
      <Panel title={<Hash value={address} label={t("account.address")} />}>
        <Ready call={call}>
          {(data) => (
            <Fields>
              <Field name={t("account.balance")}>
                {data.balance === null ? "–" : t("unit.coins", { n: coins(data.balance, lang) })}
                {data.balance !== null && data.balance > 0n && <small class="quiet"> {t("account.balance.base", { n: data.balance })}</small>}
              </Field>
              <Field name={t("account.nonce")}>{data.nonce === null ? "–" : t("unit.transactions", { n: data.nonce })}</Field>
              {validator && <Field name={t("account.validator")}>{t("account.validator.yes", { name: plain(validator.name ?? "", 80) })}</Field>}
              <Field name={t("account.code")}>
                {delegate !== undefined ? (
                  <>
                    {t("account.code.delegated", { address: "" })} <Address value={`0x${delegate.toLowerCase()}`} whole />
                  </>
                ) : contract ? (
                  <>
                    <p>{t("account.code.size", { size: bytes((code.length - 2) / 2, lang) })}</p>
                    <Bytes value={code} />
                  </>
                ) : (
                  <span class="quiet">{t("account.code.none")}</span>
                )}
              </Field>
            </Fields>
          )}
        </Ready>
      </Panel>
      <MemberPanel address={address} />
      {contract && <Events address={address} />}
      <Pending address={address} />
    </>
  );
}

function Pending(props: { address: string }): JSX.Element | null {
  const { t } = useSpeech();
  const { head } = useLive();
  const call = useAsk(
    `pending ${props.address}`,
    async () => {
      const content = (await live().rpc.call("txpool_contentFrom", [props.address])) as Record<string, unknown> | null;
      return readPoolContent({ pending: { own: content?.["pending"] }, queued: { own: content?.["queued"] } }, PENDING_SHOWN);
    },
    head,
  );
  if (call.error && isMissing(call.error)) return null;
  return (
    <Panel title={t("account.pending")}>
      <Ready call={call}>
        {(rows) =>
          rows.length === 0 ? (
            <p class="quiet">{t("account.pending.none")}</p>
          ) : (
            <TransactionTable
              caption={t("account.pending")}
              state={t("pool.state")}
              rows={rows.map(({ transaction, waiting }) => ({ transaction, mark: <span class="mark">{t(`pool.state.${waiting}`)}</span> }))}
            />
          )
        }
      </Ready>
    </Panel>
  );
}

function Events(props: { address: string }): JSX.Element {
  const { t } = useSpeech();
  const { head } = useLive();
  const call = useAsk(
    `events ${props.address}`,
    head === null
      ? null
      : async () => {
          const range = { fromBlock: toHex(Math.max(0, head - EVENT_BLOCKS + 1)), toBlock: toHex(head), address: props.address };
          return readLogs(await live().rpc.call("eth_getLogs", [range])).reverse();
        },
    head,
  );
  return (
    <Panel title={t("account.events", { n: EVENT_BLOCKS })}>
      <Ready call={call}>
        {(logs) =>
          logs.length === 0 ? (
            <p class="quiet">{t("account.events.none", { n: EVENT_BLOCKS })}</p>
          ) : (
            <>
              {logs.slice(0, EVENTS_SHOWN).map((log, i) => <LogView key={`${log.block}-${log.index}`} log={log} n={i + 1} place />)}
              {logs.length > EVENTS_SHOWN && <p class="quiet">{t("account.events.shown", { n: EVENTS_SHOWN })}</p>}
            </>
          )
        }
      </Ready>
    </Panel>
  );
}
