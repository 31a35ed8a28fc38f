/** Places are in the fragment, so the node serves one page and needs no routes for it. */

import { useEffect, useState } from "preact/hooks";
import { DIGEST } from "./evidence";

export type Route =
  | { view: "overview" }
  | { view: "blocks"; before: number | null }
  | { view: "block"; id: string }
  | { view: "transaction"; hash: string }
  | { view: "account"; address: string }
  | { view: "evidence"; digest: string | null }
  | { view: "pool" }
  | { view: "node" }
  | { view: "search"; query: string }
  | { view: "lost" };

const HASH = /^0x[0-9a-f]{64}$/;

export function readRoute(fragment: string): Route {
  const [view = "", ...rest] = fragment.replace(/^#?\/?/, "").split("/");
  let argument: string | null;
  try {
    argument = rest.length > 0 ? decodeURIComponent(rest.join("/")) : null;
  } catch {
    return { view: "lost" };
  }
  const lower = argument?.toLowerCase() ?? "";
  switch (view) {
    case "":
      return { view: "overview" };
    case "blocks":
      return { view, before: argument !== null && /^\d{1,15}$/.test(argument) ? Number(argument) : null };
    case "block":
      return HASH.test(lower) || /^\d{1,15}$/.test(lower) ? { view, id: lower } : { view: "lost" };
    case "tx":
      return HASH.test(lower) ? { view: "transaction", hash: lower } : { view: "lost" };
    case "account":
      return /^0x[0-9a-f]{40}$/.test(lower) ? { view, address: lower } : { view: "lost" };
    case "evidence":
      return { view, digest: DIGEST.test(lower) ? lower : null };
    case "pool":
    case "node":
      return { view };
    case "search":
      return { view, query: argument ?? "" };
    default:
      return { view: "lost" };
  }
}

export const to = {
  overview: (): string => "#/",
  blocks: (before?: number): string => (before === undefined ? "#/blocks" : `#/blocks/${before}`),
  block: (id: number | string): string => `#/block/${id}`,
  transaction: (hash: string): string => `#/tx/${hash}`,
  account: (address: string): string => `#/account/${address}`,
  evidence: (digest?: string): string => (digest === undefined ? "#/evidence" : `#/evidence/${digest}`),
  pool: (): string => "#/pool",
  node: (): string => "#/node",
  search: (query: string): string => `#/search/${encodeURIComponent(query)}`,
};

export function go(fragment: string): void {
  location.hash = fragment;
}

export function useRoute(): Route {
  const [fragment, set] = useState(location.hash);
  useEffect(() => {
    const changed = (): void => set(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return readRoute(fragment);
}
