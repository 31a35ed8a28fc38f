import { describe, expect, it } from "vitest";
import { collect, newest, NO_FILTER, readFilter, readPage, toCsv, toJson, writeFilter } from "../src/audit";
import { least, readFreezes, readGovernance, readMember, readProposal, readRisks, readSettings, readThreshold, readWhy } from "../src/governance";
import { readRoute, to } from "../src/router";
import { RpcClient } from "../src/rpc/client";
import { readQuestion } from "../src/views/governance/why";

const A = `0x${"aB".repeat(20)}`;
const a = A.toLowerCase();
const H = `0x${"0".repeat(64)}`;
const entry = (number: number, detail = "d") => ({
  previous: H, number, height: number, time: 1_795_000_000_000 + number, transaction: H, kind: "frozen", actor: A, target: `account:${A}`, rule: "", detail, hash: `0x${number}`,
});

describe("governance, as the node tells it", () => {
  it("is none where nobody governs, and nothing where the answer is something else", () => {
    expect(readGovernance({ governed: false, contract: A })).toBe("none");
    expect(readGovernance("x")).toBeNull();
  });
  it("has rules and policies by number, whatever the order of the object", () => {
    const read = readGovernance({
      governed: true, contract: A, auditEntries: 3,
      rules: { 10: { subject: "any", actions: ["call", 5], resource: "any", effect: "deny" }, 2: { subject: 7 }, x: {}, 3: null },
      policies: { 1: { name: "limit", version: 2, mode: "active", script: H } },
    });
    expect(read).toMatchObject({ contract: a, rules: [{ id: 2, subject: "" }, { id: 10, actions: ["call"], effect: "deny" }], policies: [{ id: 1, version: 2 }] });
  });
  it("reads a freeze without end as one", () => {
    const read = readMember({ account: A, frozen: true, freeze: { by: A, reason: "r", since: 5, until: 18446744073709551615 } });
    expect(read).toMatchObject({ account: a, frozen: true, freeze: { until: null, since: 5 } });
    expect(readFreezes({ timeMs: 1, freezes: [{ target: "asset:native", untilMs: null }, { target: 5, untilMs: 9 }, 7], next: 4 })).toMatchObject({
      freezes: [{ target: "asset:native", until: null }, { target: "", until: 9 }], next: 4,
    });
  });
  it("takes 0 for a time that is not yet known", () => {
    expect(readProposal({ id: 3, closesMs: 7, executableFromMs: 0, endedMs: 0, votes: { [A]: true, x: "yes" } })).toMatchObject({
      id: 3, closes: 7, executableFrom: null, ended: null, votes: [{ account: a, yes: true }, { account: "x", yes: false }],
    });
  });
  it("keeps amounts exact", () => {
    const big = "123456789012345678901234567890";
    const [risk] = readRisks({ subjects: [{ account: A, history: { day: { count: 2, amount: big }, flags: 1 } }, null] });
    expect(risk).toMatchObject({ account: a, day: { count: 2, amount: BigInt(big) }, hour: { count: 0, amount: 0n }, flags: 1, denials: 0 });
  });
  it("reads an answer only where there is one", () => {
    expect(readWhy({ allowed: false, rule: "default", reason: "no" })).toEqual({ allowed: false, rule: "default", reason: "no" });
    expect(readWhy({ allowed: "yes" })).toBeNull();
  });
  it("shows parameters of any type as text", () => {
    expect(readSettings({ height: 3, settings: { protocol_version: 1, parameters: { a: 5, b: "x", c: [1] } }, pending: [{ from: 9, settings: {} }] })).toMatchObject({
      parameters: [["a", "5"], ["b", "x"], ["c", "[1]"]], pending: [{ from: 9, validators: 0 }],
    });
  });
});

describe("thresholds", () => {
  it("are read from the node's words", () => {
    expect(readThreshold("more than 2/3 of weight")).toEqual({ moreThan: true, numerator: 2, denominator: 3, basis: "weight" });
    expect(readThreshold("at least 1/1 of governors")).toMatchObject({ moreThan: false, basis: "governors" });
    for (const other of ["more than 2/3 of", "more than 1/0 of weight", "half"]) expect(readThreshold(other)).toBeNull();
  });
  it("say how many votes are enough", () => {
    const two = readThreshold("more than 2/3 of weight")!;
    expect([3, 4, 6].map((total) => least(two, total))).toEqual([3, 3, 5]);
    const half = readThreshold("at least 1/2 of governors")!;
    expect([3, 4].map((total) => least(half, total))).toEqual([2, 2]);
  });
});

describe("the audit trail", () => {
  const filter = { kinds: ["frozen" as const, "refused" as const], actor: a, target: "proposal:3 & x", since: 1_795_000_000_000, until: null };
  it("has filters that survive a place", () => {
    expect(readFilter(writeFilter(filter))).toEqual({ ...filter, kinds: ["refused", "frozen"] });
    expect(writeFilter(NO_FILTER)).toBe("");
    expect(readFilter("kinds=bogus,frozen&actor=0x12&since=x")).toEqual({ ...NO_FILTER, kinds: ["frozen"] });
  });
  it("asks for the newest with only what is given", async () => {
    const asked: unknown[] = [];
    const rpc = { call: async (_: string, params: unknown) => (asked.push(params), { entries: [entry(9)], next: 9, count: 9, head: H, suite: "sm" }) } as unknown as RpcClient;
    expect((await newest(rpc, NO_FILTER, null, 50))?.entries[0]?.number).toBe(9);
    await newest(rpc, filter, 7, 50);
    expect(asked).toEqual([[{ below: Number.MAX_SAFE_INTEGER, limit: 50, filter: {} }], [{ below: 7, limit: 50, filter: { kinds: filter.kinds, actor: a, target: filter.target, since: filter.since } }]]);
  });
  it("is collected page by page, and a node that does not move on ends it", async () => {
    const pages = [{ entries: [entry(1), entry(2)], next: 3 }, { entries: [entry(3)], next: null }];
    let n = 0;
    const rpc = { call: async () => ({ ...pages[n++], count: 3, head: H, suite: "sm" }) } as unknown as RpcClient;
    const told: number[] = [];
    const all = await collect(rpc, NO_FILTER, (count) => told.push(count));
    expect([all.entries.map((one) => one.number), told, all.filtered, all.cut, all.suite]).toEqual([[1, 2, 3], [2, 3], false, false, "sm"]);
    const stuck = { call: async () => ({ entries: [entry(1)], next: 1, count: 1, head: H, suite: "sm" }) } as unknown as RpcClient;
    expect((await collect(stuck, { ...NO_FILTER, actor: a }, () => {})).filtered).toBe(true);
  });
  it("is written as the command line reads it", () => {
    const page = readPage({ entries: [entry(1)], next: null, count: 1, head: H, suite: "sm" })!;
    const json = JSON.parse(toJson({ suite: "sm", filtered: false, head: H, entries: page.entries })) as { entries: Record<string, unknown>[] };
    expect(Object.keys(json)).toEqual(["suite", "filtered", "head", "entries"]);
    // The hash is the node's addition and no part of an entry.
    expect(Object.keys(json.entries[0]!)).toEqual(["previous", "number", "height", "time", "transaction", "kind", "actor", "target", "rule", "detail"]);
  });
  it("is written as a table whose texts cannot be formulas or end their field", () => {
    const page = readPage({ entries: [entry(1, '=1+1, "x"\n')] })!;
    const csv = toCsv(page.entries);
    expect(csv.split("\r\n")[0]).toBe("number,time_ms,height,transaction,kind,actor,target,rule,detail,previous,hash");
    expect(csv).toContain(`"'=1+1, ""x""\n"`);
  });
});

describe("places", () => {
  it("lead back to themselves", () => {
    expect(readRoute(to.proposal(12))).toEqual({ view: "governance", page: "proposal", argument: "12" });
    expect(readRoute(to.script(3))).toEqual({ view: "supervision", page: "script", argument: "3" });
    expect(readRoute(to.risk(a))).toEqual({ view: "supervision", page: "risk", argument: a });
    expect(readRoute(to.audit("kinds=frozen&target=a/b"))).toEqual({ view: "supervision", page: "audit", argument: "kinds=frozen&target=a/b" });
    const why = readRoute(to.why(a, "call", `method:${a}:0xa9059cbb`));
    expect(why).toMatchObject({ view: "governance", page: "why" });
    expect(readQuestion("argument" in why ? (why.argument as string) : null)).toEqual({ account: a, action: "call", resource: `method:${a}:0xa9059cbb` });
  });
  it("that are none are lost", () => {
    for (const place of ["#/governance/x", "#/governance/proposal", "#/governance/proposal/1x", "#/supervision/rules/x", "#/supervision/nothing"]) {
      expect(readRoute(place).view, place).toBe("lost");
    }
    expect(readQuestion(`${a}/fly/any`)).toBeNull();
    expect(readQuestion("0x12/read/any")).toBeNull();
  });
});
