import type { JSX } from "preact";
import { group } from "../format";
import { useSpeech } from "../i18n";
import { live, useAsk, type Call } from "../live";
import type { Summary } from "../model";
import { to } from "../router";
import { Address, Age, ShortHash, Table } from "./basic";

/** Blocks from `newest` down, at most `count`. Those at hand are not asked for again. */
export function useBlocks(newest: number | null, count: number, key: string): Call<Summary[]> {
  const ask =
    newest === null
      ? null
      : async (): Promise<Summary[]> => {
          const heights = Array.from({ length: Math.min(count, newest + 1) }, (_, i) => newest - i);
          const blocks = await Promise.all(heights.map((height) => live().summary(height)));
          return blocks.filter((block) => block !== null);
        };
  return useAsk(key, ask, newest);
}

export function BlockTable(props: { blocks: Summary[]; wide?: boolean }): JSX.Element {
  const { t, lang } = useSpeech();
  type Column = { name: string; number?: boolean; cell: (block: Summary) => JSX.Element | string };
  const columns: Column[] = [
    { name: t("blocks.height"), cell: (block) => <a href={to.block(block.height)}>{group(block.height, lang)}</a> },
    { name: t("blocks.age"), cell: (block) => <Age ms={block.time} /> },
    { name: t("blocks.count"), number: true, cell: (block) => group(block.count, lang) },
  ];
  if (props.wide) {
    columns.push({ name: t("block.hash"), cell: (block) => <ShortHash value={block.hash} href={to.block(block.height)} /> });
  }
  columns.push({ name: t("blocks.proposer"), cell: (block) => <Address value={block.proposer} /> });
  return <Table stack={props.wide ?? false} caption={t("blocks.caption")} rows={props.blocks} rowKey={(block) => block.height} columns={columns} />;
}
