/** Pictures, each with the same in words for those who do not see it. */

import type { JSX } from "preact";
import type { Committee, Summary } from "../model";
import { useSpeech } from "../i18n";
import { group, plain } from "../format";
import { to } from "../router";

/** Bars: transactions per block, oldest left. */
export function Sparkline(props: { blocks: Summary[] }): JSX.Element | null {
  const { t, lang } = useSpeech();
  const blocks = [...props.blocks].sort((a, b) => a.height - b.height);
  const [first, last] = [blocks[0], blocks.at(-1)];
  if (!first || !last) return null;
  const counts = blocks.map((block) => block.count);
  const max = Math.max(...counts);
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const [width, height, slots] = [600, 72, Math.max(30, blocks.length)];
  const step = width / slots;
  const words = t("overview.spark.text", {
    first: first.height, last: last.height, min: Math.min(...counts), max, mean: Math.round(mean * 10) / 10,
  });
  return (
    <figure class="spark">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={words}>
        <line x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} class="axis" />
        {blocks.map((block, i) => {
          const count = block.count;
          const tall = max === 0 ? 0 : (count / max) * (height - 6);
          return (
            <rect
              key={block.height}
              x={width - (blocks.length - i) * step + 1}
              y={height - Math.max(1.5, tall)}
              width={Math.max(1, step - 2)}
              height={Math.max(1.5, tall)}
            >
              <title>{`${group(block.height, lang)}: ${t("unit.transactions", { n: count })}`}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption class="quiet" aria-hidden="true">
        {words}
      </figcaption>
    </figure>
  );
}

/** A point on the circle, `turn` of a full turn clockwise from the top. */
const point = (turn: number, radius: number): string => {
  const angle = turn * 2 * Math.PI - Math.PI / 2;
  return `${(100 + radius * Math.cos(angle)).toFixed(2)} ${(100 + radius * Math.sin(angle)).toFixed(2)}`;
};

/** One validator's piece of the ring. */
function piece(from: number, until: number): string {
  const [outer, inner] = [92, 66];
  // An arc from a point to itself would vanish.
  const end = until - from >= 1 ? from + 0.9999 : until;
  const large = end - from > 0.5 ? 1 : 0;
  return (
    `M ${point(from, outer)} A ${outer} ${outer} 0 ${large} 1 ${point(end, outer)} ` +
    `L ${point(end, inner)} A ${inner} ${inner} 0 ${large} 0 ${point(from, inner)} Z`
  );
}

/** The committee as a ring: a piece per validator, as wide as its weight, filled when it voted. */
export function CommitteePicture(props: {
  committee: Committee;
  heard: Set<string>;
  mode: "voted" | "signed";
  self: string | null;
}): JSX.Element {
  const { t, lang } = useSpeech();
  const { committee, heard, mode } = props;
  const equal = committee.members.every((member) => member.weight === committee.members[0]?.weight);
  const weight = committee.members.reduce((sum, member) => sum + (heard.has(member.address) ? member.weight : 0), 0);
  const count = committee.members.filter((member) => heard.has(member.address)).length;
  const said = t(mode === "voted" ? "committee.voted" : "committee.signed", { heard: count, total: committee.members.length });
  const unit = committee.members[0]?.weight ?? 1;
  const needed = equal
    ? t("committee.needed", { quorum: Math.ceil(committee.quorum / unit) })
    : t("committee.neededWeight", { quorum: committee.quorum, total: committee.total });
  const gap = committee.members.length > 1 ? Math.min(0.008, 0.2 / committee.members.length) : 0;
  let turn = 0;
  return (
    <svg class="ring" viewBox="0 0 200 200" role="img" aria-label={`${said}; ${needed}`}>
      {committee.members.map((member) => {
        const from = turn;
        turn += member.weight / committee.total;
        const yes = heard.has(member.address);
        const own = member.address === props.self;
        return (
          <a key={member.address} href={to.account(member.address)} tabIndex={-1} aria-hidden="true">
            <path d={piece(from + gap / 2, turn - gap / 2)} class={`${yes ? "yes" : "no"}${own ? " own" : ""}`}>
              <title>
                {`${plain(member.name ?? member.address, 80)} · ${t(`committee.${yes ? "yes" : "no"}.${mode}`)}${own ? ` · ${t("committee.self")}` : ""}`}
              </title>
            </path>
          </a>
        );
      })}
      <text x="100" y="96" class="big">
        {equal ? `${group(count, lang)}/${group(committee.members.length, lang)}` : `${group(weight, lang)}/${group(committee.total, lang)}`}
      </text>
      <text x="100" y="118" class="small">
        {equal ? needed : t("committee.needed", { quorum: committee.quorum })}
      </text>
      {weight >= committee.quorum && (
        <text x="100" y="136" class="small ok">
          ✓
        </text>
      )}
    </svg>
  );
}

/** Votes: yes from the left, no from the right, and a mark where it is enough. */
export function VoteBar(props: { yes: number; no: number; total: number; needed: number; words: string }): JSX.Element | null {
  const { yes, no, total, needed } = props;
  if (total <= 0) return null;
  const [width, height] = [600, 18];
  const at = (count: number): number => Math.min(width, (count / total) * width);
  return (
    <svg class="votes" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={props.words}>
      <rect x="0" y="4" width={width} height={height - 8} class="rest" />
      <rect x="0" y="4" width={at(yes)} height={height - 8} class="yes" />
      <rect x={width - at(no)} y="4" width={at(no)} height={height - 8} class="no" />
      <line x1={at(needed)} x2={at(needed)} y1="0" y2={height} class="needed" />
    </svg>
  );
}

/** Amounts side by side as bars, the longest the largest. What is said stands beside each bar. */
export function Bars(props: { rows: { name: string; value: bigint; said: string }[]; caption: string }): JSX.Element {
  const max = props.rows.reduce((most, row) => (row.value > most ? row.value : most), 0n);
  const width = 300;
  // Divided as whole numbers first: amounts are larger than what a float holds exactly.
  const long = (value: bigint): number => (max === 0n ? 0 : Number((value * 10_000n) / max) / 10_000);
  return (
    <ul class="bars" aria-label={props.caption}>
      {props.rows.map((row) => (
        <li key={row.name}>
          <span class="name">{row.name}</span>
          <svg viewBox={`0 0 ${width} 12`} preserveAspectRatio="none" aria-hidden="true">
            <rect x="0" y="0" width={width} height="12" class="rest" />
            <rect x="0" y="0" width={row.value === 0n ? 0 : Math.max(2, long(row.value) * width)} height="12" />
          </svg>
          <span class="said">{row.said}</span>
        </li>
      ))}
    </ul>
  );
}
