import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import { App } from "../src/app";
import { setLang } from "../src/i18n";
import { Live, setLive } from "../src/live";

const HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
const DIGEST = `0x${"12".repeat(32)}`;

type Answers = Record<string, unknown>;
/** The console over canned answers; a method without one is missing. */
async function open(place: string, answers: Answers | "down"): Promise<HTMLElement> {
  location.hash = place;
  const fetching = (async (_url: unknown, init: RequestInit) => {
    if (answers === "down") throw new TypeError("connection refused");
    const parsed = JSON.parse(String(init.body)) as { id: number; method: string } | { id: number; method: string }[];
    const one = ({ id, method }: { id: number; method: string }) =>
      method in answers ? { jsonrpc: "2.0", id, result: answers[method] } : { jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } };
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
  for (let i = 0; i < 8; i++) await act(async () => void (await new Promise((resolve) => setTimeout(resolve, 1))));
  return root;
}
afterEach(() => {
  const root = document.getElementById("app");
  if (root) render(null, root);
  setLang("en");
});

const status = {
  chainId: 1, name: HOSTILE, genesis: DIGEST, suite: "sm", height: 5, hash: DIGEST, executed: 5, validator: null, validators: 4, deciding: null,
  round: 0, step: "decided", heard: [], peers: [], pending: 0, queued: 0, syncing: false, ready: true, waiting: [HOSTILE],
};
const block = { number: "0x5", hash: DIGEST, parentHash: DIGEST, miner: `0x${"aa".repeat(20)}`, timestamp: "0x65", transactions: [] };

describe("what comes from the chain", () => {
  it("stays text, in every field that others can write", async () => {
    for (const [place, answers] of [
      ["#/", { hawser_status: { ...status, ready: false }, eth_getBlockByNumber: block }],
      ["#/node", { hawser_status: status, web3_clientVersion: HOSTILE }],
      [`#/evidence/${DIGEST}`, { hawser_status: status, hawser_findEvidence: [{ id: HOSTILE, owner: HOSTILE, time: 1, mediaType: HOSTILE, description: HOSTILE }] }],
      ["#/block/5", { hawser_status: status, eth_getBlockByNumber: { ...block, miner: HOSTILE, parentHash: HOSTILE }, hawser_getCertificate: { signatures: [{ validator: 0, signature: HOSTILE }] }, hawser_getValidators: [{ address: `0x${"aa".repeat(20)}`, name: HOSTILE }] }],
      [`#/search/${encodeURIComponent(HOSTILE)}`, {}],
    ] as [string, Answers][]) {
      const root = await open(place, answers);
      expect(root.textContent, place).toContain("<script>window.pwned=1</script>");
      expect(root.querySelectorAll("script, img[onerror], [onerror]"), place).toHaveLength(0);
      for (const link of root.querySelectorAll("a")) expect(link.getAttribute("href"), place).toMatch(/^(#|\.\/)/);
    }
  });
  it("cannot become markup, because no code makes markup of text", () => {
    const read = (folder: string): string[] =>
      readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? read(join(folder, entry.name)) : [readFileSync(join(folder, entry.name), "utf8")],
      );
    for (const source of read(join(import.meta.dirname, "../src"))) {
      expect(source).not.toMatch(/dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style=/);
    }
  });
});

describe("errors", () => {
  it("shows a banner when the node does not answer", async () => {
    const root = await open("#/", "down");
    expect(root.querySelector(".banner")?.textContent).toContain("cannot reach its node");
    expect(root.querySelector(".banner")?.textContent).toContain("connection refused");
    expect(root.querySelector(".banner button")).not.toBeNull();
  });
  it("hides what the node has no method for", async () => {
    const root = await open("#/", { eth_blockNumber: "0x5", eth_getBlockByNumber: block });
    expect(root.querySelector(".banner")).toBeNull();
    expect(root.querySelector(".committee")).toBeNull();
    expect(root.querySelector(".health")?.textContent).toContain("newest block is 5");
  });
  it("says that evidence cannot be looked up", async () => {
    expect((await open(`#/evidence/${DIGEST}`, { hawser_status: status })).textContent).toContain("cannot look up evidence");
  });
  it("says that evidence is not registered", async () => {
    expect((await open(`#/evidence/${DIGEST}`, { hawser_status: status, hawser_findEvidence: [] })).textContent).toContain("Not registered");
  });
  it("says that a block does not exist yet", async () => {
    const root = await open("#/block/9", { hawser_status: status, eth_getBlockByNumber: null });
    expect(root.textContent).toContain("Block 9 does not exist yet");
  });
});

describe("language", () => {
  it("switches and is remembered", async () => {
    const root = await open("#/", { hawser_status: status, eth_getBlockByNumber: block });
    expect(document.documentElement.lang).toBe("en");
    await act(async () => root.querySelector<HTMLButtonElement>(".language")!.click());
    expect(document.documentElement.lang).toBe("zh-CN");
    expect(root.querySelector("h1")?.textContent).toBe("概览");
    expect(localStorage.getItem("hawser.language")).toBe("zh");
  });
  it("names every control for screen readers", async () => {
    const root = await open("#/evidence", { hawser_status: status });
    for (const control of root.querySelectorAll("button, input")) {
      const name = control.getAttribute("aria-label") ?? control.textContent ?? "";
      expect(name.trim(), control.outerHTML).not.toBe("");
    }
    expect(root.querySelectorAll("h1")).toHaveLength(1);
    expect(root.querySelectorAll('nav a[aria-current="page"]')).toHaveLength(1);
  });
});
