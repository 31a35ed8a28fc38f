/** The state that every view shares: the node's status and its head, kept current. New heads come
 * over WebSocket where that works, and by asking every other second in any case, because peers and
 * votes change without a block. */

import { useEffect, useRef, useState } from "preact/hooks";
import { chainOfAudience, Login, readToken, type Token, type TokenFault } from "./auth";
import { small } from "./format";
import { type Block, readBlock, readStatus, readSummary, type Status, summarize, type Summary } from "./model";
import { FORBIDDEN, isMissing, RpcClient, RpcError, UNAUTHENTICATED, type Unreachable } from "./rpc/client";

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
  /** Why nothing is shown before a login, where that is so. */
  locked: Locked | null;
  /** Who reads, after a login. */
  reader: Pick<Token, "account" | "expires"> | null;
}

/** The node's refusal. */
export interface Locked {
  rule: string | null;
  message: string;
}

/** What came of a login. */
export type LoginOutcome =
  | { kind: "in" }
  | { kind: "fault"; fault: TokenFault }
  | { kind: "otherChain"; token: number; page: number }
  | { kind: "refused"; rule: string | null; message: string };

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
    headSince: null, headTime: null, decidingSince: null, pushed: false, locked: null, reader: null,
  };
  readonly #login: Login;
  readonly #listeners = new Set<() => void>();
  readonly #blocks = new Map<number, Block>();
  readonly #summaries = new Map<number, Summary>();
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #socket: WebSocket | null = null;
  #socketTimer: ReturnType<typeof setTimeout> | undefined;
  #socketDelay = 1_000;
  #asking = false;
  #again = false;

  constructor(
    url: string,
    private readonly options: { fetch?: typeof fetch; socketUrl?: string } = {},
  ) {
    this.#login = new Login(url);
    this.rpc = new RpcClient(url, {
      ...(options.fetch ? { fetch: options.fetch } : {}),
      onContact: (error) => this.#contact(error),
      token: () => this.#login.token?.text ?? null,
      // An answer to an older login says nothing about this one.
      onLocked: (error, token) => {
        if (token === (this.#login.token?.text ?? null)) this.#lock(error);
      },
    });
    this.snapshot.reader = this.#login.token;
  }

  start(): void {
    // Asked first, so that nothing is subscribed to where a login is needed.
    void this.refresh().then(() => this.#connect());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.refresh();
    });
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads with a pasted token from now on, if the node takes it. */
  async logIn(pasted: string): Promise<LoginOutcome> {
    const token = readToken(pasted, Date.now());
    if (typeof token === "string") return { kind: "fault", fault: token };
    const page = await this.rpc
      .call("hawser_challenge", [token.account])
      .then((told) => chainOfAudience((told as { audience?: unknown } | null)?.audience), () => null);
    if (page !== null && page !== token.chainId) return { kind: "otherChain", token: token.chainId, page };
    this.#login.use(token);
    try {
      await this.rpc.call("hawser_status");
    } catch (error) {
      if (!(error instanceof RpcError) || error.code === UNAUTHENTICATED) {
        this.#login.drop();
        const rule = error instanceof RpcError ? error.rule : null;
        return { kind: "refused", rule, message: error instanceof Error ? error.message : String(error) };
      }
      // Known, and not permitted: the next question says so.
    }
    this.rpc.forgetMissing();
    this.#set({ locked: null, reader: { account: token.account, expires: token.expires } });
    this.#reconnect();
    void this.refresh();
    return { kind: "in" };
  }

  /** Asks again without a new token: the node may have been set to open reads, or the right given. */
  knock(): void {
    this.#set({ locked: null });
    this.#reconnect();
    void this.refresh();
  }

  /** Ends the login, here and at the node. */
  async logOut(): Promise<void> {
    await this.rpc.call("hawser_logout").catch(() => null);
    this.#leave({ rule: null, message: "" });
  }

  #lock(error: RpcError): void {
    this.#leave({ rule: error.rule, message: error.message });
  }

  #leave(why: Locked): void {
    this.#login.drop();
    this.#blocks.clear();
    this.#summaries.clear();
    this.#set({ locked: why, reader: null, status: null, head: null, headTime: null, headSince: null });
    // An open connection would stay the account's.
    this.#disconnect();
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
    // Every refusal is an entry in the node's audit log, so nobody knocks without a new token.
    if (this.snapshot.locked) return;
    this.#timer = setTimeout(() => void this.refresh(), delay);
  }

  async #ask(): Promise<void> {
    if (this.snapshot.reader && !this.#login.token) {
      this.#leave({ rule: "auth.token-expired", message: "" });
      return;
    }
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
      if (!(error instanceof RpcError) || error.code === UNAUTHENTICATED) return;
      this.#set({ errorCode: error.code, status: null });
      if (error.code === FORBIDDEN) {
        this.#set({ locked: { rule: error.rule, message: error.message } });
        this.#disconnect();
        return;
      }
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

  #disconnect(): void {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#socketTimer);
    socket?.close();
    if (this.snapshot.pushed) this.#set({ pushed: false });
  }

  #reconnect(): void {
    this.#disconnect();
    this.#socketDelay = 1_000;
    this.#connect();
  }

  #connect(): void {
    const url = this.options.socketUrl;
    if (!url || typeof WebSocket === "undefined" || this.snapshot.locked) return;
    const retry = (): void => {
      this.#socket = null;
      if (this.snapshot.pushed) this.#set({ pushed: false });
      this.#socketTimer = setTimeout(() => this.#connect(), this.#socketDelay);
      this.#socketDelay = Math.min(60_000, this.#socketDelay * 2);
    };
    try {
      const socket = new WebSocket(url);
      this.#socket = socket;
      socket.addEventListener("open", () => {
        // Browsers cannot add a header here, so the connection logs in by its first message.
        const token = this.#login.token;
        if (token) send(socket, AUTHENTICATE, "hawser_authenticate", [token.text]);
        else send(socket, SUBSCRIBE, "eth_subscribe", ["newHeads"]);
      });
      socket.addEventListener("message", (event: MessageEvent<unknown>) => this.#heard(socket, event.data));
      socket.addEventListener("close", () => {
        if (this.#socket === socket) retry();
      });
    } catch {
      retry();
    }
  }

  #heard(socket: WebSocket, data: unknown): void {
    if (typeof data !== "string") return;
    try {
      const message = JSON.parse(data) as { id?: unknown; result?: unknown; method?: unknown };
      if (message.id === AUTHENTICATE && message.result !== undefined) send(socket, SUBSCRIBE, "eth_subscribe", ["newHeads"]);
      else if (message.id === SUBSCRIBE && typeof message.result === "string") {
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

/** Numbers of the two requests that a socket sends. */
const [AUTHENTICATE, SUBSCRIBE] = [1, 2];

const send = (socket: WebSocket, id: number, method: string, params: unknown[]): void =>
  socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));

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
