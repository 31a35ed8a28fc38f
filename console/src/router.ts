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
  | { view: "governance"; page: GovernancePage; argument: string | null }
  | { view: "supervision"; page: SupervisionPage; argument: string | null }
  | { view: "search"; query: string }
  | { view: "lost" };

export type GovernancePage = "members" | "proposals" | "proposal" | "rules" | "why";
export type SupervisionPage = "state" | "scripts" | "script" | "risk" | "audit";

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
    case "governance":
      return governance(rest[0] ?? "", argument === null ? null : tail(argument));
    case "supervision":
      return supervision(rest[0] ?? "", argument === null ? null : tail(argument));
    case "search":
      return { view, query: argument ?? "" };
    default:
      return { view: "lost" };
  }
}

/** What follows the first folder of an argument. */
const tail = (argument: string): string | null => {
  const at = argument.indexOf("/");
  return at < 0 || at === argument.length - 1 ? null : argument.slice(at + 1);
};

const NUMBER = /^\d{1,15}$/;

function governance(page: string, argument: string | null): Route {
  switch (page) {
    case "":
      return { view: "governance", page: "members", argument: null };
    case "rules":
      return { view: "governance", page, argument: null };
    case "why":
      return { view: "governance", page, argument };
    case "proposals":
      return { view: "governance", page, argument: argument !== null && NUMBER.test(argument) ? argument : null };
    case "proposal":
      return argument !== null && NUMBER.test(argument) ? { view: "governance", page, argument } : { view: "lost" };
    default:
      return { view: "lost" };
  }
}

function supervision(page: string, argument: string | null): Route {
  switch (page) {
    case "":
      return { view: "supervision", page: "state", argument: null };
    case "rules":
      if (argument === null) return { view: "supervision", page: "scripts", argument: null };
      return NUMBER.test(argument) ? { view: "supervision", page: "script", argument } : { view: "lost" };
    case "risk":
      return { view: "supervision", page, argument: /^0x[0-9a-f]{40}$/i.test(argument ?? "") ? (argument ?? "").toLowerCase() : null };
    case "audit":
      return { view: "supervision", page, argument };
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
  governance: (): string => "#/governance",
  proposals: (below?: number): string => (below === undefined ? "#/governance/proposals" : `#/governance/proposals/${below}`),
  proposal: (id: number): string => `#/governance/proposal/${id}`,
  permissions: (): string => "#/governance/rules",
  why: (account?: string, action?: string, resource?: string): string =>
    account === undefined ? "#/governance/why" : `#/governance/why/${[account, action ?? "read", resource ?? "any"].map(encodeURIComponent).join("/")}`,
  supervision: (): string => "#/supervision",
  scripts: (): string => "#/supervision/rules",
  script: (id: number): string => `#/supervision/rules/${id}`,
  risk: (account?: string): string => (account === undefined ? "#/supervision/risk" : `#/supervision/risk/${account}`),
  audit: (filter?: string): string => (filter ? `#/supervision/audit/${encodeURIComponent(filter)}` : "#/supervision/audit"),
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
