import { describe, expect, it, vi } from "vitest";
import { isMissing, RpcClient, RpcError, Unreachable } from "../src/rpc/client";

type Request = { id: number; method: string; params: unknown[] };
const client = (
  reply: (requests: Request[], batch: boolean) => unknown,
  options: { status?: number; raw?: boolean; onContact?: (error: Unreachable | null) => void } = {},
) => {
  const sent: string[] = [];
  const rpc = new RpcClient("http://node/", {
    fetch: (async (_url: unknown, init: RequestInit) => {
      const body = String(init.body);
      sent.push(body);
      const parsed = JSON.parse(body) as Request | Request[];
      const answer = reply(Array.isArray(parsed) ? parsed : [parsed], Array.isArray(parsed));
      return new Response(options.raw ? String(answer) : JSON.stringify(answer), { status: options.status ?? 200 });
    }) as typeof fetch,
    ...(options.onContact ? { onContact: options.onContact } : {}),
  });
  return { rpc, sent };
};
const ok = (id: number, result: unknown) => ({ jsonrpc: "2.0", id, result });
const error = (id: number | null, code: number, message: string) => ({ jsonrpc: "2.0", id, error: { code, message } });

describe("calls", () => {
  it("sends one alone and several of one moment as a batch", async () => {
    const { rpc, sent } = client((requests, batch) => (batch ? requests.map(({ id, method }) => ok(id, method)).reverse() : ok(requests[0]!.id, 1)));
    expect(await rpc.call("one")).toBe(1);
    expect(await Promise.all([rpc.call("a"), rpc.call("b")])).toEqual(["a", "b"]);
    expect(sent.map((body) => Array.isArray(JSON.parse(body)))).toEqual([false, true]);
  });
  it("splits batches at 20", async () => {
    const { rpc, sent } = client((requests, batch) => (batch ? requests.map(({ id }) => ok(id, id)) : ok(requests[0]!.id, 0)));
    await Promise.all(Array.from({ length: 21 }, () => rpc.call("m")));
    expect(sent).toHaveLength(2);
  });
  it("tells an error of the node with its code", async () => {
    const { rpc } = client(([one]) => error(one!.id, 3, "execution reverted"));
    await expect(rpc.call("eth_call")).rejects.toMatchObject({ name: "RpcError", code: 3, message: "execution reverted" });
  });
  it("asks a missing method once, and again after the node was replaced", async () => {
    const { rpc, sent } = client(([one]) => error(one!.id, -32601, "no such method"));
    const first = await rpc.call("hawser_status").catch((reason: unknown) => reason);
    const second = await rpc.call("hawser_status").catch((reason: unknown) => reason);
    expect([isMissing(first), isMissing(second), sent.length]).toEqual([true, true, 1]);
    rpc.forgetMissing();
    await rpc.call("hawser_status").catch(() => {});
    expect(sent).toHaveLength(2);
  });
  it("fails every call of a batch that is refused as a whole", async () => {
    const { rpc } = client(() => error(null, -32600, "batch too large"));
    const results = await Promise.allSettled([rpc.call("a"), rpc.call("b")]);
    for (const result of results) expect(result).toMatchObject({ status: "rejected", reason: { code: -32600 } });
  });
  it("fails only the call that a batch leaves unanswered", async () => {
    const { rpc } = client((requests) => [ok(requests[0]!.id, 1)]);
    const [first, second] = await Promise.allSettled([rpc.call("a"), rpc.call("b")]);
    expect(first).toMatchObject({ status: "fulfilled", value: 1 });
    expect(second).toMatchObject({ status: "rejected" });
    expect((second as PromiseRejectedResult).reason).toBeInstanceOf(RpcError);
  });
  it("takes malformed errors for what they are", async () => {
    const { rpc } = client(([one]) => ({ id: one!.id, error: "boom" }));
    await expect(rpc.call("a")).rejects.toBeInstanceOf(RpcError);
  });
  it("reads an error that comes with an HTTP status", async () => {
    const { rpc } = client(([one]) => error(one!.id, -32005, "busy"), { status: 429 });
    await expect(rpc.call("a")).rejects.toMatchObject({ code: -32005 });
  });
});

describe("an unreachable node", () => {
  it("is one that a proxy answers for", async () => {
    const { rpc } = client(() => "<html>Bad Gateway</html>", { status: 502, raw: true });
    await expect(rpc.call("a")).rejects.toMatchObject({ name: "Unreachable", message: "HTTP status 502" });
  });
  it("is one that answers something else than JSON-RPC", async () => {
    for (const raw of ["", "null", "1", '{"hello":1}']) {
      await expect(client(() => raw, { raw: true }).rpc.call("a")).rejects.toBeInstanceOf(Unreachable);
    }
  });
  it("is one that refuses the connection", async () => {
    const contacts: (Unreachable | null)[] = [];
    const rpc = new RpcClient("http://node/", { fetch: () => Promise.reject(new TypeError("Failed to fetch")), onContact: (e) => contacts.push(e) });
    await expect(rpc.call("a")).rejects.toBeInstanceOf(Unreachable);
    expect(contacts[0]).toBeInstanceOf(Unreachable);
  });
  it("is one that takes too long", async () => {
    vi.useFakeTimers();
    const rpc = new RpcClient("http://node/", {
      timeoutMs: 1_000,
      fetch: ((_url: unknown, init: RequestInit) =>
        new Promise((_resolve, reject) => init.signal?.addEventListener("abort", () => reject(new Error("aborted"))))) as typeof fetch,
    });
    const call = rpc.call("a").catch((reason: unknown) => reason);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await call).toMatchObject({ name: "Unreachable", message: "no answer within 1 s" });
    vi.useRealTimers();
  });
  it("is reported once it answers again", async () => {
    const contacts: (Unreachable | null)[] = [];
    const { rpc } = client(([one]) => ok(one!.id, 1), { onContact: (e) => contacts.push(e) });
    await rpc.call("a");
    expect(contacts).toEqual([null]);
  });
});
