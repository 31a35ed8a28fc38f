import type { JSX } from "preact";
import { useSpeech } from "../i18n";
import { useLive } from "../live";
import { Loading, Panel, Ready, Title } from "../parts/basic";
import { BlockTable, useBlocks } from "../parts/blocks";
import { to } from "../router";

const PAGE = 25;

export function Blocks(props: { before: number | null }): JSX.Element {
  const { t } = useSpeech();
  const { head } = useLive();
  const newest = head === null ? null : props.before === null ? head : Math.min(props.before, head);
  const blocks = useBlocks(newest, PAGE, `blocks ${props.before ?? "newest"}`);
  const older = newest === null ? null : newest - PAGE;
  const newer = newest === null || head === null || newest >= head ? null : newest + PAGE;
  return (
    <>
      <Title text={t("blocks.title")}>
        {props.before === null && <span class="quiet">{t("blocks.live")}</span>}
      </Title>
      <Panel title={t("blocks.caption")}>
        {newest === null ? (
          <Loading />
        ) : (
          <Ready call={blocks} empty={<p class="quiet">{t("blocks.empty")}</p>}>
            {(data) => <BlockTable blocks={data} wide />}
          </Ready>
        )}
        <nav class="pages" aria-label={t("blocks.title")}>
          {newer !== null && <a href={to.blocks()}>{t("blocks.newest")}</a>}
          {newer !== null && <a href={head !== null && newer >= head ? to.blocks() : to.blocks(newer)}>← {t("blocks.newer")}</a>}
          {older !== null && older >= 0 && <a href={to.blocks(older)}>{t("blocks.older")} →</a>}
        </nav>
      </Panel>
    </>
  );
}
