/** One sentence about the chain, for whoever was just woken up. */

import type { Status } from "./model";

export interface HealthInput {
  /** False once the node stopped answering. */
  reachable: boolean;
  /** Code of the error that `hawser_status` ended with, if it did. */
  errorCode: number | null;
  status: Status | null;
  /** Height from Ethereum's methods, for nodes without `hawser_status`. */
  head: number | null;
  now: number;
  /** When the head arrived here, by this machine's clock. */
  headSince: number | null;
  /** Time in the header of the head. */
  headTime: number | null;
  /** Since when the height being decided is being decided. */
  decidingSince: number | null;
}

export type Level = "ok" | "warn" | "bad" | "unknown";

export interface Health {
  level: Level;
  key:
    | "connecting" | "unreachable" | "stopped" | "noStatus" | "syncing" | "notReady"
    | "stalled" | "struggling" | "slow" | "executing" | "notProposing" | "idle" | "live";
  params: Record<string, number>;
}

/** Deciding one block takes about a second; after this long someone should look. */
export const SLOW_MS = 15_000;
/** A round ends when its time is over without a decision. Two such happen to a busy or slow network;
 * a third means trouble, also for a console that was opened just now. */
export const TROUBLE_ROUND = 3;
/** Blocks that execution may trail agreement without a word. */
const EXECUTION_LAG_MAX = 8;
const IDLE_MS = 30_000;

export function health(input: HealthInput): Health {
  const { status, now } = input;
  if (!input.reachable) return { level: "bad", key: "unreachable", params: {} };
  if (input.errorCode === -32002) return { level: "bad", key: "stopped", params: {} };
  if (!status) {
    if (input.errorCode !== null) return { level: "unknown", key: "noStatus", params: { height: input.head ?? 0 } };
    return { level: "unknown", key: "connecting", params: {} };
  }
  const height = status.height;
  if (status.syncing) {
    const target = Math.max(height, ...status.peers.map((peer) => peer.height));
    return { level: "warn", key: "syncing", params: { height, target, behind: target - height } };
  }
  if (!status.ready) return { level: "bad", key: "notReady", params: { height, peers: status.peers.length } };
  const deciding = status.deciding;
  const undecided = deciding !== null && input.decidingSince !== null ? now - input.decidingSince : 0;
  if (deciding !== null && (undecided > SLOW_MS || status.round >= TROUBLE_ROUND)) {
    const quorum = Math.floor((status.validators * 2) / 3) + 1;
    const params = {
      height: deciding, round: status.round, heard: status.heard.length, validators: status.validators, quorum, span: undecided,
    };
    if (undecided <= SLOW_MS) return { level: status.heard.length < quorum ? "bad" : "warn", key: "struggling", params };
    return status.heard.length < quorum ? { level: "bad", key: "stalled", params } : { level: "warn", key: "slow", params };
  }
  if (height - status.executed > EXECUTION_LAG_MAX) {
    return { level: "warn", key: "executing", params: { behind: height - status.executed, executed: status.executed } };
  }
  const since = input.headSince === null ? 0 : now - input.headSince;
  if (deciding === null && status.pending > 0 && since > IDLE_MS) {
    return { level: "warn", key: "notProposing", params: { pending: status.pending, span: since } };
  }
  const age = input.headTime === null ? since : Math.max(0, now - input.headTime);
  return age > IDLE_MS && status.pending === 0
    ? { level: "ok", key: "idle", params: { height, span: age } }
    : { level: "ok", key: "live", params: { height, span: age } };
}
