/** What the node says of governance and supervision, read without trust (see `model.ts`). */

import { quantity, small } from "./format";
import { type Json, list, object, text, texts } from "./json";

const address = (value: unknown): string => text(value)?.toLowerCase() ?? "";
/** Entries of an object whose names are numbers, in their order. */
const numbered = <T>(value: unknown, read: (id: number, from: Json) => T | null): T[] =>
  Object.entries(object(value) ?? {})
    .flatMap(([name, item]) => {
      const [id, from] = [small(name), object(item)];
      const found = id === null || !from ? null : read(id, from);
      return found === null || id === null ? [] : [{ id, found }];
    })
    .sort((a, b) => a.id - b.id)
    .map(({ found }) => found);
const objects = <T>(value: unknown, read: (from: Json) => T | null): T[] =>
  list(value).flatMap((item) => {
    const from = object(item);
    const found = from && read(from);
    return found === null ? [] : [found];
  });

export interface Role {
  role: string;
  name: string;
  actions: string[];
}

export interface Rule {
  id: number;
  subject: string;
  actions: string[];
  resource: string;
  effect: string;
  note: string;
}

export interface Policy {
  id: number;
  name: string;
  version: number;
  mode: string;
  script: string;
}

export interface Governance {
  contract: string;
  accountMode: string;
  publicActions: string[];
  signedReads: boolean;
  timeLockMs: number;
  votingMs: number;
  members: number;
  governors: number;
  proposals: number;
  freezes: number;
  auditEntries: number;
  auditHead: string;
  thresholds: { kind: string; needed: string }[];
  roles: Role[];
  rules: Rule[];
  policies: Policy[];
}

/** `"none"` for a chain that nobody governs. */
export function readGovernance(value: unknown): Governance | "none" | null {
  const from = object(value);
  if (!from) return null;
  if (from["governed"] !== true) return "none";
  const count = (name: string): number => small(from[name]) ?? 0;
  return {
    contract: address(from["contract"]),
    accountMode: text(from["accountMode"]) ?? "",
    publicActions: texts(from["publicActions"]),
    signedReads: from["signedReads"] === true,
    timeLockMs: count("timeLockMs"),
    votingMs: count("votingMs"),
    members: count("members"),
    governors: count("governors"),
    proposals: count("proposals"),
    freezes: count("freezes"),
    auditEntries: count("auditEntries"),
    auditHead: text(from["auditHead"]) ?? "",
    thresholds: objects(from["thresholds"], (item) => ({ kind: text(item["kind"]) ?? "", needed: text(item["needed"]) ?? "" })),
    roles: objects(from["roles"], (item) => ({
      role: text(item["role"]) ?? "", name: text(item["name"]) ?? "", actions: texts(item["actions"]),
    })),
    rules: numbered(from["rules"], (id, item) => ({
      id,
      subject: text(item["subject"]) ?? "",
      actions: texts(item["actions"]),
      resource: text(item["resource"]) ?? "",
      effect: text(item["effect"]) ?? "",
      note: text(item["note"]) ?? "",
    })),
    policies: numbered(from["policies"], readPolicy),
  };
}

function readPolicy(id: number, from: Json): Policy {
  return {
    id,
    name: text(from["name"]) ?? "",
    version: small(from["version"]) ?? 0,
    mode: text(from["mode"]) ?? "",
    script: text(from["script"]) ?? "",
  };
}

/** A supervision rule with its script. */
export function readScript(value: unknown): (Policy & { source: string }) | null {
  const from = object(value);
  const id = from && small(from["id"]);
  if (!from || id === null) return null;
  return { ...readPolicy(id, from), source: text(from["source"]) ?? "" };
}

export interface Organisation {
  id: number;
  name: string;
  weight: number;
  suspended: boolean;
  authorities: string[];
  authorityThreshold: number;
  roots: string[];
  governors: string[];
}

export const readOrganisations = (value: unknown): Organisation[] =>
  objects(value, (from) => {
    const id = small(from["id"]);
    if (id === null) return null;
    return {
      id,
      name: text(from["name"]) ?? "",
      weight: small(from["weight"]) ?? 0,
      suspended: from["suspended"] === true,
      authorities: texts(from["authorities"]).map((one) => one.toLowerCase()),
      authorityThreshold: small(from["authorityThreshold"]) ?? 0,
      roots: texts(from["roots"]),
      governors: texts(from["governors"]).map((one) => one.toLowerCase()),
    };
  });

export interface Freeze {
  by: string;
  reason: string;
  since: number | null;
  /** Null for no end. */
  until: number | null;
}

export interface Member {
  account: string;
  name: string | null;
  status: string;
  organisation: number;
  roles: string[];
  certified: boolean;
  frozen: boolean;
  freeze: Freeze | null;
  replacedBy: string | null;
}

export function readMember(value: unknown): Member | null {
  const from = object(value);
  const account = text(from?.["account"]);
  if (!from || account === null) return null;
  const freeze = object(from["freeze"]);
  return {
    account: account.toLowerCase(),
    name: text(from["name"]),
    status: text(from["status"]) ?? "",
    organisation: small(from["organisation"]) ?? 0,
    roles: texts(from["roles"]),
    certified: from["certified"] === true,
    frozen: from["frozen"] === true,
    // A freeze without end is the largest number of 64 bits, which no number of JavaScript is.
    freeze: freeze && {
      by: address(freeze["by"]), reason: text(freeze["reason"]) ?? "", since: small(freeze["since"]), until: small(freeze["until"]),
    },
    replacedBy: text(from["replacedBy"])?.toLowerCase() ?? null,
  };
}

export interface MemberPage {
  members: Member[];
  total: number;
  next: number | null;
}

export function readMembers(value: unknown): MemberPage | null {
  const from = object(value);
  if (!from) return null;
  const members = objects(from["members"], readMember);
  return { members, total: small(from["total"]) ?? members.length, next: small(from["next"]) };
}

export interface Standing {
  kind: string | null;
  needed: string;
  yes: number;
  no: number;
  total: number;
  met: boolean;
}

export interface Proposal {
  id: number;
  title: string;
  description: string;
  author: string;
  organisation: number;
  route: string;
  kinds: string[];
  status: string;
  submitted: number | null;
  height: number | null;
  closes: number | null;
  /** Null until it has passed. */
  executableFrom: number | null;
  lapses: number | null;
  ended: number | null;
  votes: { account: string; yes: boolean }[];
  difference: string[];
  standings: Standing[];
  changes: unknown;
}

/** A time that is 0 until it is known. */
const later = (value: unknown): number | null => small(value) || null;

export function readProposal(value: unknown): Proposal | null {
  const from = object(value);
  const id = from && small(from["id"]);
  if (!from || id === null) return null;
  return {
    id,
    title: text(from["title"]) ?? "",
    description: text(from["description"]) ?? "",
    author: address(from["author"]),
    organisation: small(from["organisation"]) ?? 0,
    route: text(from["route"]) ?? "",
    kinds: texts(from["kinds"]),
    status: text(from["status"]) ?? "",
    submitted: later(from["submittedMs"]),
    height: small(from["height"]),
    closes: later(from["closesMs"]),
    executableFrom: later(from["executableFromMs"]),
    lapses: later(from["lapsesMs"]),
    ended: later(from["endedMs"]),
    votes: Object.entries(object(from["votes"]) ?? {}).map(([account, yes]) => ({ account: account.toLowerCase(), yes: yes === true })),
    difference: texts(from["difference"]),
    standings: objects(from["standings"], (item) => {
      const count = object(item["count"]) ?? {};
      return {
        kind: text(item["kind"]),
        needed: text(item["needed"]) ?? "",
        yes: small(count["yes"]) ?? 0,
        no: small(count["no"]) ?? 0,
        total: small(count["total"]) ?? 0,
        met: item["met"] === true,
      };
    }),
    changes: from["changes"] ?? null,
  };
}

export const readProposals = (value: unknown): Proposal[] => objects(value, readProposal);

/** `more than 2/3 of weight` in parts. */
export interface Threshold {
  moreThan: boolean;
  numerator: number;
  denominator: number;
  basis: string;
}

export function readThreshold(needed: string): Threshold | null {
  const found = /^(more than|at least) (\d{1,6})\/(\d{1,6}) of (\w+)/.exec(needed);
  if (!found) return null;
  const denominator = Number(found[3]);
  if (denominator === 0) return null;
  return { moreThan: found[1] === "more than", numerator: Number(found[2]), denominator, basis: found[4] ?? "" };
}

/** The least count of yes that meets a threshold. */
export const least = (threshold: Threshold, total: number): number => {
  const share = (total * threshold.numerator) / threshold.denominator;
  return threshold.moreThan ? Math.floor(share) + 1 : Math.ceil(share);
};

export interface Frozen {
  target: string;
  by: string;
  reason: string;
  since: number | null;
  /** Null for no end. */
  until: number | null;
  entry: number | null;
}

export interface FrozenPage {
  time: number | null;
  freezes: Frozen[];
  next: number | null;
}

export function readFreezes(value: unknown): FrozenPage | null {
  const from = object(value);
  if (!from) return null;
  return {
    time: small(from["timeMs"]),
    next: small(from["next"]),
    freezes: objects(from["freezes"], (item) => ({
      target: text(item["target"]) ?? "",
      by: address(item["by"]),
      reason: text(item["reason"]) ?? "",
      since: small(item["sinceMs"]),
      until: small(item["untilMs"]),
      entry: small(item["entry"]),
    })),
  };
}

export interface Window {
  count: number;
  amount: bigint;
}

export interface Risk {
  account: string | null;
  organisation: number | null;
  organisationName: string | null;
  firstSeen: number | null;
  hour: Window;
  day: Window;
  month: Window;
  flags: number;
  denials: number;
}

const readWindow = (value: unknown): Window => {
  const from = object(value) ?? {};
  return { count: small(from["count"]) ?? 0, amount: quantity(from["amount"]) ?? 0n };
};

export const readRisks = (value: unknown): Risk[] =>
  objects(object(value)?.["subjects"], (from) => {
    const history = object(from["history"]) ?? {};
    return {
      account: text(from["account"])?.toLowerCase() ?? null,
      organisation: small(from["organisation"]),
      organisationName: text(from["organisationName"]),
      firstSeen: small(history["first_seen_ms"]),
      hour: readWindow(history["hour"]),
      day: readWindow(history["day"]),
      month: readWindow(history["month"]),
      flags: small(history["flags"]) ?? 0,
      denials: small(history["denials"]) ?? 0,
    };
  });

export interface Why {
  allowed: boolean;
  rule: string;
  reason: string;
}

export function readWhy(value: unknown): Why | null {
  const from = object(value);
  if (!from || typeof from["allowed"] !== "boolean") return null;
  return { allowed: from["allowed"], rule: text(from["rule"]) ?? "", reason: text(from["reason"]) ?? "" };
}

/** A peer that the node is configured with, and its link. */
export interface Link {
  id: string;
  address: string;
  since: number | null;
  direction: string | null;
  cipher: string | null;
  name: string | null;
  organisation: string | null;
  notAfter: string | null;
  roundTripUs: number | null;
  lastError: string | null;
}

export const readLinks = (value: unknown): Link[] =>
  objects(value, (from) => {
    const subject = object(object(from["certificate"])?.["subject"]);
    return {
      id: text(from["id"]) ?? "",
      address: text(from["address"]) ?? "",
      since: small(from["connectedSince"]),
      direction: text(from["direction"]),
      cipher: text(from["cipherSuite"]),
      name: text(subject?.["commonName"]),
      organisation: text(subject?.["organisation"]),
      notAfter: text(object(from["certificate"])?.["notAfter"]),
      roundTripUs: small(from["roundTripUs"]),
      lastError: text(from["lastError"]),
    };
  });

export interface Settings {
  height: number;
  protocol: number | null;
  parameters: [string, string][];
  pending: { from: number; protocol: number | null; validators: number; parameters: [string, string][] }[];
}

const readParameters = (value: unknown): [string, string][] =>
  Object.entries(object(value) ?? {}).map(([name, item]) => [name, typeof item === "string" ? item : JSON.stringify(item)]);

export function readSettings(value: unknown): Settings | null {
  const from = object(value);
  const settings = object(from?.["settings"]);
  if (!from || !settings) return null;
  return {
    height: small(from["height"]) ?? 0,
    protocol: small(settings["protocol_version"]),
    parameters: readParameters(settings["parameters"]),
    pending: objects(from["pending"], (item) => {
      const next = object(item["settings"]) ?? {};
      return {
        from: small(item["from"]) ?? 0,
        protocol: small(next["protocol_version"]),
        validators: list(next["validators"]).length,
        parameters: readParameters(next["parameters"]),
      };
    }),
  };
}
