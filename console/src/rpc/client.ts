/** JSON-RPC 2.0 over HTTP POST, with calls of one moment sent as one batch. */

/** The node did not answer, or something else than a node did. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

/** The node answered with an error. */
export class RpcError extends Error {
  override name = "RpcError";
  constructor(
    readonly code: number,
    message: string,
    readonly data?: unknown,
  ) {
    super(message);
  }
  /** What decided, where the node refused to let the reader in or the reader read. */
  get rule(): string | null {
    const rule = isObject(this.data) ? this.data["rule"] : null;
    return typeof rule === "string" ? rule : null;
  }
  /** The node does not know the method, so what depends on it is hidden. */
  get missing(): boolean {
    return this.code === METHOD_NOT_FOUND;
  }
}

export const METHOD_NOT_FOUND = -32601;
export const UNAVAILABLE = -32002;
/** The node does not know who reads (docs/spec/reads.md). */
export const UNAUTHENTICATED = -32040;
/** The node knows, and does not permit it. */
export const FORBIDDEN = -32043;

/** Whether an error says that a method does not exist. */
export const isMissing = (error: unknown): boolean => error instanceof RpcError && error.missing;

export interface ClientOptions {
  fetch?: typeof fetch;
  /** Milliseconds in which an answer must be complete. */
  timeoutMs?: number;
  /** Learns after each exchange whether the node answered. */
  onContact?: (error: Unreachable | null) => void;
  /** The token to send, where there is one. */
  token?: () => string | null;
  /** Learns that the node lets nobody in without a login, or not with this one. */
  onLocked?: (error: RpcError, token: string | null) => void;
}

interface Waiting {
  id: number;
  method: string;
  params: unknown[];
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** Few enough that a batch of full blocks stays below the node's limit of an answer. */
const BATCH_MAX = 20;
const TIMEOUT_MS = 15_000;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function errorOf(value: unknown): RpcError {
  const object = isObject(value) ? value : {};
  const code = typeof object["code"] === "number" ? object["code"] : -32603;
  const message = typeof object["message"] === "string" ? object["message"] : "error without a message";
  return new RpcError(code, message, object["data"]);
}

export class RpcClient {
  readonly #fetch: typeof fetch;
  readonly #timeoutMs: number;
  readonly #onContact: (error: Unreachable | null) => void;
  readonly #token: () => string | null;
  readonly #onLocked: (error: RpcError, token: string | null) => void;
  readonly #missing = new Set<string>();
  #queue: Waiting[] = [];
  #nextId = 1;

  constructor(
    readonly url: string,
    options: ClientOptions = {},
  ) {
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#onContact = options.onContact ?? (() => {});
    this.#token = options.token ?? (() => null);
    this.#onLocked = options.onLocked ?? (() => {});
  }

  /** Calls a method. Rejects with `Unreachable` or `RpcError` and nothing else. */
  call(method: string, params: unknown[] = []): Promise<unknown> {
    if (this.#missing.has(method)) {
      return Promise.reject(new RpcError(METHOD_NOT_FOUND, `the method ${method} does not exist`));
    }
    return new Promise((resolve, reject) => {
      if (this.#queue.length === 0) queueMicrotask(() => this.#flush());
      this.#queue.push({ id: this.#nextId++, method, params, resolve, reject });
    });
  }

  /** Asks again for methods that were missing: the node may have been replaced by a newer one. */
  forgetMissing(): void {
    this.#missing.clear();
  }

  #flush(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (let at = 0; at < queue.length; at += BATCH_MAX) void this.#send(queue.slice(at, at + BATCH_MAX));
  }

  async #send(calls: Waiting[]): Promise<void> {
    const token = this.#token();
    try {
      const requests = calls.map(({ id, method, params }) => ({ jsonrpc: "2.0", id, method, params }));
      const answer = await this.#exchange(JSON.stringify(requests.length === 1 ? requests[0] : requests), token);
      this.#onContact(null);
      this.#settle(calls, answer, token);
    } catch (error) {
      const known = error instanceof Unreachable ? error : new Unreachable(String(error));
      this.#onContact(known);
      for (const call of calls) call.reject(known);
    }
  }

  async #exchange(body: string, token: string | null): Promise<unknown> {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), this.#timeoutMs);
    let status = 0;
    let text: string;
    try {
      const response = await this.#fetch(this.url, {
        method: "POST",
        headers: { "content-type": "application/json", ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
        body,
        // A token must not follow to wherever something in between points.
        redirect: "error",
        signal: control.signal,
        cache: "no-store",
        credentials: "same-origin",
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      if (control.signal.aborted) throw new Unreachable(`no answer within ${this.#timeoutMs / 1000} s`);
      throw new Unreachable(error instanceof Error ? error.message : String(error));
    } finally {
      clearTimeout(timer);
    }
    try {
      const answer: unknown = JSON.parse(text);
      if (Array.isArray(answer) || (isObject(answer) && ("result" in answer || "error" in answer))) return answer;
    } catch {
      // Fall through: something between here and the node answered in its place.
    }
    throw new Unreachable(status === 200 ? "the answer is not JSON-RPC" : `HTTP status ${status}`);
  }

  #settle(calls: Waiting[], answer: unknown, token: string | null): void {
    const answers = new Map<unknown, Record<string, unknown>>();
    if (Array.isArray(answer)) {
      for (const item of answer) if (isObject(item)) answers.set(item["id"], item);
    } else if (calls.length === 1 || (isObject(answer) && "error" in answer)) {
      // One call, or a batch refused as a whole.
      for (const call of calls) answers.set(call.id, answer as Record<string, unknown>);
    }
    for (const call of calls) {
      const item = answers.get(call.id);
      if (!item) call.reject(new RpcError(-32603, `the node left ${call.method} unanswered`));
      else if (item["error"] !== undefined && item["error"] !== null) {
        const error = errorOf(item["error"]);
        if (error.missing) this.#missing.add(call.method);
        if (error.code === UNAUTHENTICATED) this.#onLocked(error, token);
        call.reject(error);
      } else call.resolve(item["result"] ?? null);
    }
  }
}
