import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import { App } from "../src/app";
import { setLang } from "../src/i18n";
import { Live, setLive } from "../src/live";
import { token } from "./auth.test";

const HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202e';
const A = `0x${"ab".repeat(20)}`;
const H = `0x${"12".repeat(32)}`;
const DAY = 86_400_000;

type Call = { id: number; method: string; params: unknown[] };
type Reply = (call: Call, authorization: string | null) => { result: unknown } | { error: unknown };
/** What the console that is open asked; those of earlier tests have their own. */
let asked: { methods: string[]; authorization: string | null }[] = [];

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await act(async () => void (await new Promise((resolve) => setTimeout(resolve, 1))));
};
async function open(place: string, reply: Reply): Promise<HTMLElement> {
  const own: typeof asked = [];
  asked = own;
  location.hash = place;
  const fetching = (async (_url: unknown, init: RequestInit) => {
    const authorization = (init.headers as Record<string, string>)["authorization"] ?? null;
    const parsed = JSON.parse(String(init.body)) as Call | Call[];
    own.push({ methods: [parsed].flat().map((call) => call.method), authorization });
    const one = (call: Call): unknown => ({ jsonrpc: "2.0", id: call.id, ...reply(call, authorization) });
    return new Response(JSON.stringify(Array.isArray(parsed) ? parsed.map(one) : one(parsed)));
  }) as typeof fetch;
  const live = new Live("http://node/", { fetch: fetching });
  setLive(live);
  document.body.innerHTML = '<div id="app"></div>';
  const root = document.getElementById("app")!;
  await act(async () => {
    render(<App />, root);
    await live.refresh();
  });
  await settle();
  return root;
}
afterEach(() => {
  const root = document.getElementById("app");
  if (root) render(null, root);
  sessionStorage.clear();
  setLang("en");
});

const status = {
  chainId: 4207, name: "chain", genesis: H, suite: "sm", height: 5, hash: H, executed: 5, validator: null, validators: 4, deciding: null,
  round: 0, step: "decided", heard: [], peers: [{ id: "ff", name: HOSTILE, height: 5 }], pending: 0, queued: 0, syncing: false, ready: true, waiting: [],
};
const entry = { previous: H, number: 7, height: 5, time: 1_795_000_000_000, transaction: H, kind: "intercepted", actor: A, target: HOSTILE, rule: "policy:1", detail: HOSTILE, hash: H };
const governed: Record<string, unknown> = {
  hawser_status: status,
  hawser_governance: {
    governed: true, contract: A, accountMode: "permitted", publicActions: [], signedReads: true, timeLockMs: 2_000, votingMs: DAY, members: 1, governors: 1, proposals: 1,
    freezes: 1, auditEntries: 7, auditHead: H, thresholds: [{ kind: "membership", needed: "more than 1/2 of governors" }], roles: [{ role: "role9", name: HOSTILE, actions: ["call", HOSTILE] }],
    rules: { 10: { subject: HOSTILE, actions: ["call"], resource: HOSTILE, effect: "deny", note: HOSTILE } },
    policies: { 1: { name: HOSTILE, version: 2, mode: "active", script: H }, 2: { name: "watch", version: 1, mode: "shadow", script: H } },
  },
  hawser_organisations: [{ id: 1, name: HOSTILE, weight: 1, suspended: false, authorities: [A], authorityThreshold: 1, roots: [], governors: [A] }],
  hawser_members: { members: [{ account: A, name: HOSTILE, status: "active", organisation: 1, roles: ["user", HOSTILE], certified: true, frozen: false, freeze: null }], total: 1, next: null },
  hawser_member: { account: A, name: HOSTILE, status: "active", organisation: 1, roles: ["user"], frozen: true, freeze: { by: A, reason: HOSTILE, since: 1, until: 18446744073709551615 } },
  hawser_links: [{ id: "ff", address: "h:1", connectedSince: 1, direction: "outbound", cipherSuite: HOSTILE, certificate: { subject: { commonName: HOSTILE, organisation: HOSTILE }, notAfter: HOSTILE }, roundTripUs: 5, lastError: HOSTILE }],
  hawser_getValidators: { validators: [{ address: A, name: HOSTILE, weight: 1 }] },
  hawser_getSettings: { height: 5, settings: { protocol_version: 1, parameters: { agreement: HOSTILE, [HOSTILE]: 1 } }, pending: [{ from: 9, settings: { parameters: { agreement: "raft" } } }] },
  hawser_proposals: [{ id: 1, title: HOSTILE, author: A, organisation: 1, status: "open", kinds: [HOSTILE], submittedMs: 1 }],
  hawser_proposal: {
    id: 1, title: HOSTILE, description: HOSTILE, author: A, organisation: 1, route: "governors", status: "open", kinds: ["membership"], submittedMs: 1, height: 3, closesMs: 2, votes: { [A]: true },
    difference: [`+ ${HOSTILE}`], standings: [{ kind: "membership", needed: "more than 1/2 of governors", count: { yes: 1, no: 1, total: 4 }, met: false }], changes: [{ change: HOSTILE }],
  },
  hawser_freezes: { timeMs: 1, freezes: [{ target: HOSTILE, by: A, reason: HOSTILE, sinceMs: 1, untilMs: null, entry: 3 }], next: null },
  hawser_audit: { entries: [entry], next: 5, count: 7, head: H, suite: "sm" },
  hawser_supervisionRule: { id: 1, name: HOSTILE, version: 2, mode: "active", script: H, source: `def check(tx):\n    return ${HOSTILE}\n` },
  hawser_risk: { timeMs: 1, subjects: [{ account: A, organisation: 1, organisationName: HOSTILE, history: { hour: { count: 1, amount: "5" }, day: { count: 3, amount: "1005" }, month: { count: 9, amount: "20005" }, flags: 2, denials: 1 } }] },
  hawser_why: { allowed: false, rule: HOSTILE, reason: HOSTILE },
  eth_getBalance: "0x0", eth_getTransactionCount: "0x0", eth_getCode: "0x",
};
const from = (answers: Record<string, unknown>): Reply => ({ method }) =>
  method in answers ? { result: answers[method] } : { error: { code: -32601, message: "no such method" } };

const PLACES = [
  "#/governance", "#/governance/proposals", "#/governance/proposal/1", "#/governance/rules", `#/governance/why/${A}/call/any`, "#/supervision", "#/supervision/rules",
  "#/supervision/rules/1", "#/supervision/risk", `#/supervision/risk/${A}`, "#/supervision/audit", `#/account/${A}`,
];

describe("a governed chain", () => {
  it.each(PLACES)("%s shows what others wrote as text, in both languages", async (place) => {
    for (const lang of ["en", "zh"] as const) {
      setLang(lang);
      const root = await open(place, from(governed));
      expect(root.textContent).toContain("<img src=x onerror=");
      expect(root.textContent).not.toContain("\u202e");
      expect(root.querySelectorAll("script, img[onerror], [onerror], [style]")).toHaveLength(0);
      for (const link of root.querySelectorAll("a")) expect(link.getAttribute("href")).toMatch(/^(#|\.\/)/);
      expect(root.querySelector('.note[role="alert"]')).toBeNull();
      // Messages with a value that nobody filled in.
      expect(root.textContent).not.toMatch(/(?<!\\u)\{\w+\}/);
      for (const control of root.querySelectorAll("button, input, select")) {
        const named = control.getAttribute("aria-label") ?? control.closest("label")?.textContent ?? control.textContent ?? "";
        expect(named.trim(), control.outerHTML).not.toBe("");
      }
      expect(root.querySelectorAll("h1")).toHaveLength(1);
      // The console asks and never acts.
      for (const { methods } of asked) for (const method of methods) expect(method).not.toMatch(/send|sign|propose$|vote/i);
    }
  });
  it("shows votes against what is needed, and the command to vote with", async () => {
    const root = await open("#/governance/proposal/1", from(governed));
    expect(root.querySelector(".votes")?.getAttribute("aria-label")).toBe("1 yes, 1 no, of 4; 3 needed.");
    expect(root.textContent).toContain("more than 1/2 of all governors");
    expect(root.querySelector(".command")?.textContent).toContain("hawser gov vote 1 yes --from KEY --rpc http://node/");
    expect(root.querySelectorAll(".difference .added")).toHaveLength(1);
  });
  it("shows the command to execute once a proposal has passed, and none when it is over", async () => {
    const proposal = governed["hawser_proposal"] as object;
    const passed = await open("#/governance/proposal/1", from({ ...governed, hawser_proposal: { ...proposal, status: "passed", executableFromMs: 5 } }));
    expect(passed.textContent).toContain("hawser gov execute 1 --from KEY");
    const over = await open("#/governance/proposal/1", from({ ...governed, hawser_proposal: { ...proposal, status: "executed" } }));
    expect(over.querySelectorAll(".command")).toHaveLength(0);
  });
  it("tells enforced rules from shadow rules", async () => {
    const text = (await open("#/supervision/rules", from(governed))).textContent ?? "";
    expect(text).toContain("enforced");
    expect(text).toContain("shadow");
  });
  it("says no and names the rule", async () => {
    const root = await open(`#/governance/why/${A}/call/any`, from({ ...governed, hawser_why: { allowed: false, rule: "rule:10", reason: "a rule denies" } }));
    expect(root.querySelector(".verdict")?.textContent).toContain("Not allowed");
    expect(root.querySelector('a[href="#/governance/rules"] code')?.textContent).toBe("rule:10");
  });
});

describe("elsewhere", () => {
  it.each(["#/governance", "#/governance/proposals", "#/supervision", "#/supervision/audit"])("%s says in one line that nobody governs", async (place) => {
    const root = await open(place, from({ hawser_status: status, hawser_governance: { governed: false, contract: A } }));
    expect(root.textContent).toContain("Nobody governs this chain");
    expect(root.querySelectorAll(".panel")).toHaveLength(0);
  });
  it("says that the node does not tell", async () => {
    expect((await open("#/governance", from({ hawser_status: status }))).textContent).toContain("does not tell about governance");
  });
  it("leaves an account's page without governance alone", async () => {
    const root = await open(`#/account/${A}`, from({ ...governed, hawser_governance: { governed: false } }));
    expect(asked.flatMap(({ methods }) => methods)).not.toContain("hawser_member");
    expect(root.textContent).not.toContain("Organisation");
  });
});

describe("signed reads", () => {
  const good = token({ expires: Date.now() + 600_000 });
  const refusal = (rule: string, message = "who are you?") => ({ error: { code: -32040, message, data: { rule } } });
  const audience = (chain: number) => ({ result: { audience: `hawser:${chain}:00:ff`, challenge: "", expires: 0 } });
  const signed: Reply = (call, authorization) => {
    if (call.method === "hawser_challenge") return audience(4207);
    if (authorization === null) return refusal("auth.unsigned");
    if (authorization !== `Bearer ${good}`) return refusal("auth.token-unknown");
    return from(governed)(call, authorization);
  };
  const paste = async (root: HTMLElement, text: string): Promise<void> => {
    const input = root.querySelector<HTMLInputElement>('input[name="token"]')!;
    await act(async () => {
      input.value = text;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    await act(async () => void input.form!.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true })));
    await settle();
  };
  it("are asked for a login, with the command that makes one, and nobody knocks again by himself", async () => {
    const root = await open("#/governance", signed);
    expect(root.querySelector("h1")?.textContent).toBe("Log in to read");
    expect(root.querySelector(".command")?.textContent).toContain("hawser login --from KEY --rpc http://node/");
    const before = asked.length;
    await new Promise((resolve) => setTimeout(resolve, 2_300));
    expect(asked.length).toBe(before);
  });
  it("work with a token, which is sent as a header, kept for the tab, and left out of the page", async () => {
    const root = await open("#/governance", signed);
    await paste(root, `Bearer ${good}`);
    expect(root.querySelector("h1")?.textContent).toBe("Governance");
    expect(asked.at(-1)?.authorization).toBe(`Bearer ${good}`);
    expect(root.querySelector(".reader")?.textContent).toMatch(/0xabab….*9 min left/);
    expect(root.innerHTML).not.toContain(good);
    expect(localStorage.length === 0 || !JSON.stringify({ ...localStorage }).includes(good)).toBe(true);
    expect(sessionStorage.getItem("hawser.token:http://node/")).toBe(good);
    const again = await open("#/governance", signed);
    expect(again.querySelector("h1")?.textContent).toBe("Governance");
  });
  it("end with the login", async () => {
    const root = await open("#/governance", signed);
    await paste(root, good);
    await act(async () => root.querySelector<HTMLButtonElement>(".reader button")!.click());
    await settle();
    expect(asked.flatMap(({ methods }) => methods)).toContain("hawser_logout");
    expect(root.querySelector("h1")?.textContent).toBe("Log in to read");
    expect(sessionStorage.length).toBe(0);
    expect(root.querySelector(".reader")).toBeNull();
  });
  it.each([
    [token({ expires: 5 }), "its time is over"],
    ["nonsense", "not a whole token"],
    [token({ expires: Date.now() + 600_000, chain: 9 }), "This token is for chain 9, and this page shows chain 4207"],
  ])("say what is wrong with a token before it is used", async (text, said) => {
    const root = await open("#/", signed);
    await paste(root, text);
    expect(root.querySelector('.login [role="alert"]')?.textContent).toContain(said);
    expect(asked.every(({ authorization }) => authorization === null)).toBe(true);
  });
  it("say what the node found wrong", async () => {
    const other: Reply = (call, authorization) => (call.method === "hawser_challenge" ? audience(4207) : authorization === null ? refusal("auth.unsigned") : refusal("auth.token-unknown"));
    const root = await open("#/", other);
    await paste(root, good);
    expect(root.querySelector('.login [role="alert"]')?.textContent).toContain("does not know this token");
    expect(sessionStorage.length).toBe(0);
  });
  it("tell a known account that it may not read, by which rule", async () => {
    const barred: Reply = (call, authorization) =>
      call.method === "hawser_challenge" ? audience(4207) : authorization === null ? refusal("auth.unsigned") : { error: { code: -32043, message: "no role permits read", data: { rule: "default" } } };
    const root = await open("#/", barred);
    await paste(root, good);
    expect(root.querySelector(".note")?.textContent).toContain("does not let this account read (rule default)");
  });
  it("need no login through a proxy that signs", async () => {
    const root = await open("#/governance", from(governed));
    expect(root.querySelector("h1")?.textContent).toBe("Governance");
    expect(asked.every(({ authorization }) => authorization === null)).toBe(true);
  });
});
