import type { JSX } from "preact";
import { coins } from "../format";
import { type Speech, useSpeech } from "../i18n";
import { type Receipt, selectorName, type Transaction } from "../model";
import { to } from "../router";
import { Address, ShortHash, Table } from "./basic";

export function typeName(type: number | null, { t }: Speech): string {
  if (type === 0 || type === 1 || type === 2 || type === 4 || type === 104) return t(`tx.type.${type}`);
  return type === null ? "–" : t("tx.type.other", { type: `0x${type.toString(16)}` });
}

export function StatusMark(props: { receipt: Receipt | null }): JSX.Element {
  const { t } = useSpeech();
  const ok = props.receipt?.ok ?? null;
  if (ok === null) return <span class="mark">…</span>;
  return (
    <span class={ok ? "mark yes" : "mark bad"}>
      <span aria-hidden="true">{ok ? "✓" : "✕"}</span> {t(ok ? "tx.status.ok" : "tx.status.failed")}
    </span>
  );
}

/** What a transaction does, in a word or two. */
export function summary(transaction: Transaction, { t }: Speech): string {
  if (transaction.native && transaction.native.calls.length > 1) return `${t("tx.calls")} ×${transaction.native.calls.length}`;
  if (transaction.to === null) return t("tx.create");
  if (transaction.input.length <= 2) return t("tx.transfer");
  return selectorName(transaction.input) ?? transaction.input.slice(0, 10);
}

export function TransactionTable(props: {
  rows: { transaction: Transaction; mark: JSX.Element }[];
  caption: string;
  state: string;
}): JSX.Element {
  const speech = useSpeech();
  const { t, lang } = speech;
  type Row = (typeof props.rows)[number];
  const columns: { name: string; number?: boolean; cell: (row: Row) => JSX.Element | string }[] = [
    { name: t("tx.hash"), cell: ({ transaction }) => <ShortHash value={transaction.hash} href={to.transaction(transaction.hash)} /> },
    { name: props.state, cell: ({ mark }) => mark },
    { name: t("tx.method"), cell: ({ transaction }) => <span class="method">{summary(transaction, speech)}</span> },
    { name: t("tx.from"), cell: ({ transaction }) => <Address value={transaction.from} /> },
    {
      name: t("tx.to"),
      cell: ({ transaction }) => (transaction.to === null ? <span class="quiet">{t("tx.create")}</span> : <Address value={transaction.to} />),
    },
    { name: t("tx.value"), number: true, cell: ({ transaction }) => coins(transaction.value, lang) },
  ];
  return <Table stack caption={props.caption} rows={props.rows} rowKey={(row) => row.transaction.hash} columns={columns} />;
}
