import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { bytes, group, small, toHex } from "../format";
import { useSpeech } from "../i18n";
import { live, useAsk, useLive } from "../live";
import {
  type Block, readBlock, readCertificate, readCommittee, readReceipt, readTransaction, signerAddress,
} from "../model";
import { Address, Field, Fields, Hash, Loading, Panel, Ready, Table, Time, Title } from "../parts/basic";
import { StatusMark, TransactionTable } from "../parts/transactions";
import { isMissing } from "../rpc/client";
import { to } from "../router";

const PAGE = 25;

async function find(id: string): Promise<Block | null> {
  return id.startsWith("0x")
    ? readBlock(await live().rpc.call("eth_getBlockByHash", [id, false]))
    : live().block(Number(id));
}

export function BlockView(props: { id: string }): JSX.Element {
  const { t, lang } = useSpeech();
  const { head } = useLive();
  const call = useAsk(`block ${props.id}`, () => find(props.id));
  const name = call.data?.height ?? (props.id.startsWith("0x") ? null : Number(props.id));
  return (
    <>
      <Title text={name === null ? t("tx.block") : t("block.title", { height: name })}>
        {name !== null && (
          <nav class="pages" aria-label={t("blocks.title")}>
            {name > 0 && <a href={to.block(name - 1)} aria-label={t("block.previous")}>← {group(name - 1, lang)}</a>}
            {head !== null && name < head && <a href={to.block(name + 1)} aria-label={t("block.next")}>{group(name + 1, lang)} →</a>}
          </nav>
        )}
      </Title>
      <Ready
        call={call}
        empty={
          <Panel title={t("block.missing")}>
            <p>{name !== null && head !== null && name > head ? t("search.none.height", { head, height: name }) : t("block.missing.text")}</p>
          </Panel>
        }
      >
        {(block) => (
          <>
            <Header block={block} />
            <CertificatePanel block={block} />
            <Transactions block={block} key={block.hash} />
          </>
        )}
      </Ready>
    </>
  );
}

/** Fields of the chain's own header that Ethereum's block does not have. */
interface OwnHeader {
  version: number | null;
  executed: { height: number | null; state: string; receipts: string } | null;
  validators: string | null;
  nextValidators: string | null;
}

function readOwn(value: unknown): OwnHeader | null {
  if (typeof value !== "object" || value === null) return null;
  const outer = value as Record<string, unknown>;
  const from = (typeof outer["header"] === "object" && outer["header"] !== null ? outer["header"] : outer) as Record<string, unknown>;
  const roots = typeof from["executed"] === "object" && from["executed"] !== null ? (from["executed"] as Record<string, unknown>) : null;
  const text = (field: unknown): string | null => (typeof field === "string" ? field : null);
  return {
    version: small(from["version"]),
    executed: roots && { height: small(roots["height"]), state: text(roots["state"]) ?? "", receipts: text(roots["receipts"]) ?? "" },
    validators: text(from["validators"]),
    nextValidators: text(from["nextValidators"]),
  };
}

function Header(props: { block: Block }): JSX.Element {
  const { t, lang } = useSpeech();
  const { block } = props;
  const own = useAsk(`header ${block.hash}`, async () => readOwn(await live().rpc.call("hawser_getHeader", [toHex(block.height)]))).data;
  const { gasUsed, gasLimit } = block;
  const percent =
    gasUsed !== null && gasLimit !== null && gasLimit > 0n ? Number((gasUsed * 1000n) / gasLimit) / 10 : null;
  return (
    <Panel title={t("block.header")}>
      <Fields>
        <Field name={t("block.time")}><Time ms={block.time} /></Field>
        <Field name={t("block.hash")}><Hash value={block.hash} /></Field>
        <Field name={t("block.parent")}>
          {block.height > 0 ? <Hash value={block.parent} href={to.block(block.height - 1)} /> : <Hash value={block.parent} />}
        </Field>
        <Field name={t("block.proposer")}><Address value={block.proposer} whole /></Field>
        <Field name={t("block.count")}>{t("unit.transactions", { n: block.transactions.length })}</Field>
        {gasUsed !== null && (
          <Field name={t("block.gas")}>
            {percent === null
              ? t("unit.gas", { n: gasUsed })
              : t("block.gas.of", {
                  used: t("unit.gas", { n: gasUsed }), limit: t("unit.gas", { n: gasLimit ?? 0n }), percent,
                })}
          </Field>
        )}
        {block.size !== null && <Field name={t("block.size")}>{bytes(block.size, lang)}</Field>}
        {block.transactionsRoot !== null && <Field name={t("block.transactionsRoot")}><Hash value={block.transactionsRoot} /></Field>}
        {block.stateRoot !== null && <Field name={t("block.stateRoot")}><Hash value={block.stateRoot} /></Field>}
        {block.receiptsRoot !== null && <Field name={t("block.receiptsRoot")}><Hash value={block.receiptsRoot} /></Field>}
        {own?.executed && (
          <Field name={t("block.executed")}>
            {own.executed.height !== null && (
              <p><a href={to.block(own.executed.height)}>{t("block.executed.height", { height: own.executed.height })}</a></p>
            )}
            <Hash value={own.executed.state} />
            <br />
            <Hash value={own.executed.receipts} />
          </Field>
        )}
        {own?.validators && <Field name={t("block.validators")}><Hash value={own.validators} /></Field>}
        {own?.nextValidators && <Field name={t("block.nextValidators")}><Hash value={own.nextValidators} /></Field>}
        {own?.version != null && <Field name={t("block.version")}>{own.version}</Field>}
      </Fields>
    </Panel>
  );
}

function CertificatePanel(props: { block: Block }): JSX.Element | null {
  const { t } = useSpeech();
  const { block } = props;
  const height = toHex(block.height);
  const call = useAsk(`certificate ${block.hash}`, async () => readCertificate(await live().rpc.call("hawser_getCertificate", [height])));
  // The committee of that height; a node that only knows the present one ignores the parameter.
  const committee = useAsk(`committee ${block.hash}`, async () => readCommittee(await live().rpc.call("hawser_getValidators", [height]))).data;
  if (call.error && isMissing(call.error)) return null;
  return (
    <Panel title={t("block.certificate")}>
      <Ready call={call} empty={<p class="quiet">{t("block.certificate.none")}</p>}>
        {(certificate) => (
          <>
            <p>
              <span class="mark yes" aria-hidden="true">✓ </span>
              {t("block.certificate.text", {
                count: certificate.signers.length,
                total: committee?.members.length ?? certificate.signers.length,
                round: certificate.round,
              })}
            </p>
            <Table
              stack
              caption={t("block.certificate")}
              rows={certificate.signers}
              rowKey={(signer) => `${signer.position}${signer.address}`}
              columns={[
                {
                  name: t("block.certificate.signer"),
                  cell: (signer) => {
                    const address = signerAddress(signer, committee);
                    if (address === null) return t("block.certificate.position", { n: signer.position ?? 0 });
                    const name = committee?.members.find((member) => member.address === address)?.name ?? null;
                    return <Address value={address} name={name} />;
                  },
                },
                { name: t("block.certificate.signature"), cell: (signer) => <Hash value={signer.signature} /> },
              ]}
            />
          </>
        )}
      </Ready>
    </Panel>
  );
}

function Transactions(props: { block: Block }): JSX.Element {
  const { t } = useSpeech();
  const { block } = props;
  const [page, setPage] = useState(0);
  const total = block.transactions.length;
  const [from, until] = [page * PAGE, Math.min(total, (page + 1) * PAGE)];
  const call = useAsk(`transactions ${block.hash} ${page}`, () =>
    Promise.all(
      block.transactions.slice(from, until).map(async (hash) => {
        const { rpc } = live();
        const [transaction, receipt] = await Promise.all([
          rpc.call("eth_getTransactionByHash", [hash]),
          rpc.call("eth_getTransactionReceipt", [hash]),
        ]);
        return { transaction: readTransaction(transaction), receipt: readReceipt(receipt) };
      }),
    ),
  );
  return (
    <Panel
      title={t("block.transactions")}
      aside={total > 0 && <span class="quiet">{t("block.transactions.range", { from: from + 1, to: until, total })}</span>}
    >
      {total === 0 ? (
        <p class="quiet">{t("block.transactions.none")}</p>
      ) : (
        <Ready call={call} empty={<Loading />}>
          {(rows) => (
            <TransactionTable
              caption={t("block.transactions")}
              state={t("tx.status")}
              rows={rows.flatMap(({ transaction, receipt }) =>
                transaction ? [{ transaction, mark: <StatusMark receipt={receipt} /> }] : [],
              )}
            />
          )}
        </Ready>
      )}
      {total > PAGE && (
        <nav class="pages" aria-label={t("block.transactions")}>
          <button type="button" disabled={page === 0} onClick={() => setPage(page - 1)}>← {PAGE}</button>
          <button type="button" disabled={until >= total} onClick={() => setPage(page + 1)}>{PAGE} →</button>
        </nav>
      )}
    </Panel>
  );
}
