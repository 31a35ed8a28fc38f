/** The state that every view shares: the node's status and its head, kept current. New heads come
 * over WebSocket where that works, and by asking every other second in any case, because peers and
 * votes change without a block. */

import { useEffect, useRef, useState } from "preact/hooks";
import { small } from "./format";
import { type Block, readBlock, readStatus, readSummary, type Status, summarize, type Summary } from "./model";
import { isMissing, RpcClient, RpcError, type Unreachable } from "./rpc/client";

export interface Snapshot {
  reachable: boolean;
  failure: string | null;
  lastContact: number | null;
  status: Status | null;
  errorCode: number | null;
  head: number | null;
  headSince: number | null;
  headTime: number | null;
  decidingSince: number | null;
  /** Whether heads arrive over WebSocket. */
  pushed: boolean;
}

const POLL_MS = 2_000;
const RETRY_MS_MAX = 15_000;
const BLOCKS_KEPT = 20;
const SUMMARIES_KEPT = 400;
/** A single lost answer is no outage. */
const FAILURES_BEFORE_BANNER = 2;

export class Live {
  readonly rpc: RpcClient;
  snapshot: Snapshot = {
    reachable: true, failure: null, lastContact: null, status: null, errorCode: null, head: null,
    headSince: null, headTime: null, decidingSince: null, pushed: false,
  };
  readonly #listeners = new Set<() => void>();
  readonly #blocks = new Map<number, Block>();
  readonly #summaries = new Map<number, Summary>();
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #socket: WebSocket | null = null;
  #socketDelay = 1_000;
  #asking = false;
  #again = false;

  constructor(
    url: string,
    private readonly options: { fetch?: typeof fetch; socketUrl?: string } = {},
  ) {
    this.rpc = new RpcClient(url, {
      ...(options.fetch ? { fetch: options.fetch } : {}),
      onContact: (error) => this.#contact(error),
    });
  }

  start(): void {
    void this.refresh();
    this.#connect();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.refresh();
    });
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks for status and head now. */
  async refresh(): Promise<void> {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    clearTimeout(this.#timer);
    try {
      await this.#ask();
    } finally {
      this.#asking = false;
    }
    const failing = this.#failures > 0;
    const delay = this.#again ? 0 : failing ? Math.min(RETRY_MS_MAX, POLL_MS * this.#failures) : document.hidden ? RETRY_MS_MAX : POLL_MS;
    this.#again = false;
    this.#timer = setTimeout(() => void this.refresh(), delay);
  }

  async #ask(): Promise<void> {
    try {
      const status = readStatus(await this.rpc.call("hawser_status"));
      if (!status) throw new RpcError(-32603, "hawser_status gave something else than a status");
      const now = Date.now();
      const before = this.snapshot;
      const decidingSince =
        status.deciding === null ? null
        : before.status?.deciding === status.deciding ? (before.decidingSince ?? now) : now;
      this.#set({ status, errorCode: null, decidingSince, ...this.#headChange(Math.min(status.height, status.executed), now) });
    } catch (error) {
      if (!(error instanceof RpcError)) return;
      this.#set({ errorCode: error.code, status: null });
      try {
        const head = small(await this.rpc.call("eth_blockNumber"));
        if (head !== null) this.#set(this.#headChange(head, Date.now()));
      } catch {
        // The banner or the health sentence tells already.
      }
    }
    const head = this.snapshot.head;
    if (head !== null && this.snapshot.headTime === null) {
      const block = await this.summary(head).catch(() => null);
      if (block && this.snapshot.head === block.height) this.#set({ headTime: block.time });
    }
  }

  #headChange(head: number, now: number): Partial<Snapshot> {
    if (this.snapshot.head === head) return {};
    return { head, headSince: now, headTime: this.#summaries.get(head)?.time ?? null };
  }

  /** A block by height. Final blocks never change, so they are asked for once. */
  async block(height: number): Promise<Block | null> {
    const known = this.#blocks.get(height);
    if (known) return known;
    const block = readBlock(await this.rpc.call("eth_getBlockByNumber", [`0x${height.toString(16)}`, false]));
    if (block) keep(this.#blocks, block, BLOCKS_KEPT);
    return block;
  }

  /** What lists need of a block: from its header, or on other nodes from the whole block. */
  async summary(height: number): Promise<Summary | null> {
    const known = this.#summaries.get(height);
    if (known) return known;
    let summary: Summary | null;
    try {
      summary = readSummary(await this.rpc.call("hawser_getHeader", [`0x${height.toString(16)}`]));
    } catch (error) {
      if (!isMissing(error)) throw error;
      const block = await this.block(height);
      summary = block && summarize(block);
    }
    if (summary) keep(this.#summaries, summary, SUMMARIES_KEPT);
    return summary;
  }

  #contact(error: Unreachable | null): void {
    if (error) {
      this.#failures++;
      if (this.#failures >= FAILURES_BEFORE_BANNER || this.snapshot.lastContact === null) {
        this.#set({ reachable: false, failure: error.message });
      }
      return;
    }
    if (!this.snapshot.reachable) this.rpc.forgetMissing();
    this.#failures = 0;
    // Not a change that anyone draws by itself.
    this.snapshot = { ...this.snapshot, lastContact: Date.now() };
    if (!this.snapshot.reachable) this.#set({ reachable: true, failure: null });
  }

  #connect(): void {
    const url = this.options.socketUrl;
    if (!url || typeof WebSocket === "undefined") return;
    const retry = (): void => {
      this.#socket = null;
      if (this.snapshot.pushed) this.#set({ pushed: false });
      setTimeout(() => this.#connect(), this.#socketDelay);
      this.#socketDelay = Math.min(60_000, this.#socketDelay * 2);
    };
    try {
      const socket = new WebSocket(url);
      this.#socket = socket;
      socket.addEventListener("open", () => {
        socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] }));
      });
      socket.addEventListener("message", (event: MessageEvent<unknown>) => this.#heard(event.data));
      socket.addEventListener("close", () => {
        if (this.#socket === socket) retry();
      });
    } catch {
      retry();
    }
  }

  #heard(data: unknown): void {
    if (typeof data !== "string") return;
    try {
      const message = JSON.parse(data) as { id?: unknown; result?: unknown; method?: unknown };
      if (message.id === 1 && typeof message.result === "string") {
        this.#socketDelay = 1_000;
        this.#set({ pushed: true });
      } else if (message.method === "eth_subscription") void this.refresh();
    } catch {
      // Not a message of this protocol; polling goes on.
    }
  }

  #set(change: Partial<Snapshot>): void {
    this.snapshot = { ...this.snapshot, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** Adds to a map that forgets its oldest entry above `max`. */
function keep<T extends { height: number }>(map: Map<number, T>, value: T, max: number): void {
  map.set(value.height, value);
  const oldest = map.keys().next().value;
  if (map.size > max && oldest !== undefined) map.delete(oldest);
}

/** The one instance that the views use; `main.tsx` sets it before anything is drawn. */
let current: Live | null = null;
export const setLive = (live: Live): void => void (current = live);
export function live(): Live {
  if (!current) throw new Error("no connection is set up");
  return current;
}

/** Draws again whenever the shared state changes. */
export function useLive(): Snapshot {
  const [snapshot, set] = useState(live().snapshot);
  useEffect(() => {
    set(live().snapshot);
    return live().listen(() => set(live().snapshot));
  }, []);
  return snapshot;
}

export interface Call<T> {
  data: T | null;
  error: Error | null;
  /** True until the first answer or error for these parameters. */
  loading: boolean;
  retry: () => void;
}

/** Asks, and asks again when `key` or `tick` changes. A new `key` discards the old answer; a new
 * `tick` keeps showing it until the next one is here. One question is out at a time: on a slow link
 * ticks wait for the answer instead of overtaking it. */
export function useAsk<T>(key: string, ask: (() => Promise<T>) | null, tick: unknown = 0): Call<T> {
  const [state, set] = useState<{ key: string; data: T | null; error: Error | null; done: boolean }>({
    key, data: null, error: null, done: false,
  });
  const latest = useRef({ key, ask, out: null as string | null, again: false, gone: false });
  const own = latest.current;
  own.key = key;
  own.ask = ask;
  const start = (): void => {
    if (own.gone || !own.ask) return;
    if (own.out === own.key) {
      own.again = true;
      return;
    }
    const asked = own.key;
    own.out = asked;
    own.again = false;
    const end = (change: { data: T } | { error: Error }): void => {
      // The answer to a question that nobody asks any more.
      if (own.gone || own.key !== asked) return;
      own.out = null;
      set((old) =>
        "data" in change
          ? { key: asked, data: change.data, error: null, done: true }
          : { key: asked, data: old.key === asked ? old.data : null, error: change.error, done: true },
      );
      if (own.again) start();
    };
    own.ask().then((data) => end({ data }), (error: Error) => end({ error }));
  };
  useEffect(start, [key, tick, ask === null]);
  useEffect(() => {
    own.gone = false;
    return () => void (own.gone = true);
  }, []);
  const fresh = state.key === key ? state : { data: null, error: null, done: false };
  return { data: fresh.data, error: fresh.error, loading: !fresh.done, retry: start };
}

/** The present, drawn again every second so that ages stay true. */
export function useNow(everyMs = 1_000): number {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
