/** The audit trail: questions to it, and files of it as `hawser gov audit export` writes them. */

import { millis } from "./model";
import { small } from "./format";
import { list, object, text } from "./json";
import type { RpcClient } from "./rpc/client";

export const KINDS = [
  "founded", "refused", "frame-refused", "intercepted", "flagged", "inspected", "frozen", "unfrozen", "proposed", "voted", "cancelled",
  "executed", "closed", "recovered", "cosigned", "command",
] as const;
export type Kind = (typeof KINDS)[number];

export interface Entry {
  previous: string;
  number: number;
  height: number;
  time: number;
  transaction: string;
  kind: string;
  actor: string;
  target: string;
  rule: string;
  detail: string;
}

export interface Page {
  entries: (Entry & { hash: string })[];
  next: number | null;
  count: number;
  head: string;
  suite: string;
}

export interface Filter {
  kinds: Kind[];
  actor: string | null;
  target: string | null;
  /** Milliseconds since 1970; from this moment on, and before that one. */
  since: number | null;
  until: number | null;
}

export const NO_FILTER: Filter = { kinds: [], actor: null, target: null, since: null, until: null };

export function readPage(value: unknown): Page | null {
  const from = object(value);
  if (!from) return null;
  return {
    entries: list(from["entries"]).flatMap((item) => {
      const entry = object(item);
      const number = entry && small(entry["number"]);
      if (!entry || number === null) return [];
      return [
        {
          previous: text(entry["previous"]) ?? "",
          number,
          height: small(entry["height"]) ?? 0,
          time: small(entry["time"]) ?? 0,
          transaction: text(entry["transaction"]) ?? "",
          kind: text(entry["kind"]) ?? "",
          actor: text(entry["actor"])?.toLowerCase() ?? "",
          target: text(entry["target"]) ?? "",
          rule: text(entry["rule"]) ?? "",
          detail: text(entry["detail"]) ?? "",
          hash: text(entry["hash"]) ?? "",
        },
      ];
    }),
    next: small(from["next"]),
    count: small(from["count"]) ?? 0,
    head: text(from["head"]) ?? "",
    suite: text(from["suite"]) ?? "",
  };
}

/** The filter as the node takes it. */
function asked(filter: Filter): Record<string, unknown> {
  const given = Object.entries(filter).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0));
  return Object.fromEntries(given);
}

/** A page, the newest entries first. */
export async function newest(rpc: RpcClient, filter: Filter, below: number | null, limit: number): Promise<Page | null> {
  const query = { below: below ?? Number.MAX_SAFE_INTEGER, limit, filter: asked(filter) };
  return readPage(await rpc.call("hawser_audit", [query]));
}

/** The filter in a place of this console: `kinds=a,b&actor=0x…`, empty where nothing is filtered. */
export function writeFilter(filter: Filter): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked(filter))) query.set(name, Array.isArray(value) ? value.join(",") : String(value));
  return query.toString();
}

export function readFilter(place: string): Filter {
  const query = new URLSearchParams(place);
  const actor = query.get("actor")?.trim().toLowerCase() ?? "";
  const target = query.get("target")?.trim() ?? "";
  const known = (query.get("kinds") ?? "").split(",");
  return {
    kinds: KINDS.filter((kind) => known.includes(kind)),
    actor: /^0x[0-9a-f]{40}$/.test(actor) ? actor : null,
    target: target === "" ? null : target.slice(0, 200),
    since: millis(query.get("since")),
    until: millis(query.get("until")),
  };
}

/** What an export holds, as `hawser gov audit verify` reads it. */
export interface Export {
  suite: string;
  /** Whether entries are missing on purpose. */
  filtered: boolean;
  /** Hash of the newest entry of the chain when this was written. */
  head: string;
  entries: Entry[];
}

/** Entries in one answer, and most in one export. */
const [PAGE, EXPORT_MAX] = [500, 100_000];

/** All entries that a filter lets through, ascending; `told` learns how many there are so far. */
export async function collect(rpc: RpcClient, filter: Filter, told: (entries: number) => void): Promise<Export & { cut: boolean }> {
  const entries: (Entry & { hash: string })[] = [];
  let from = 1;
  for (;;) {
    const page = readPage(await rpc.call("hawser_audit", [{ from, limit: PAGE, filter: asked(filter) }]));
    if (!page) throw new Error("hawser_audit gave something else than entries");
    entries.push(...page.entries);
    told(entries.length);
    const done = page.next === null || page.next <= from;
    if (!done && entries.length < EXPORT_MAX && page.next !== null) {
      from = page.next;
      continue;
    }
    return { suite: page.suite, filtered: writeFilter(filter) !== "", head: page.head, entries, cut: !done };
  }
}

/** The export without what the node adds to entries. */
export function toJson(all: Export): string {
  const entries = all.entries.map(({ previous, number, height, time, transaction, kind, actor, target, rule, detail }) => ({
    previous, number, height, time, transaction, kind, actor, target, rule, detail,
  }));
  return JSON.stringify({ suite: all.suite, filtered: all.filtered, head: all.head, entries }, null, 2);
}

/** A field in quotes (RFC 4180). A text that a spreadsheet would take for a formula is preceded by an
 * apostrophe. */
const field = (value: string): string => `"${/^[=+\-@\t\r]/.test(value) ? "'" : ""}${value.replaceAll('"', '""')}"`;

export function toCsv(entries: (Entry & { hash?: string })[]): string {
  const lines = entries.map((entry) =>
    [
      entry.number, entry.time, entry.height, entry.transaction, entry.kind, entry.actor, field(entry.target), field(entry.rule),
      field(entry.detail), entry.previous, entry.hash ?? "",
    ].join(","),
  );
  return ["number,time_ms,height,transaction,kind,actor,target,rule,detail,previous,hash", ...lines, ""].join("\r\n");
}
