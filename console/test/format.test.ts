import { describe, expect, it } from "vitest";
import { checkCommand, registerCommand } from "../src/commands";
import { endpoint } from "../src/endpoint";
import { about, bytes, coins, duration, group, moments, plain, quantity, readQuery, shellWord, short, small, utcTime, zone } from "../src/format";

describe("quantities", () => {
  it("reads numbers, decimals and hexadecimals", () => {
    expect([quantity(7), quantity("7"), quantity("0x7")]).toEqual([7n, 7n, 7n]);
  });
  it("refuses everything else", () => {
    for (const bad of [-1, 1.5, Number.NaN, "", "0x", "x", " 7", "7e3", null, undefined, {}, [], true, "9".repeat(100), 2 ** 60]) {
      expect(quantity(bad), String(bad)).toBeNull();
    }
  });
  it("keeps small ones within what a number holds exactly", () => {
    expect(small("0x1fffffffffffff")).toBe(Number.MAX_SAFE_INTEGER);
    expect(small("0x20000000000000")).toBeNull();
  });
});

describe("numbers with units", () => {
  it("groups digits", () => expect(group(1234567, "en")).toBe("1,234,567"));
  it("names bytes", () => {
    expect([bytes(0, "en"), bytes(1023, "en"), bytes(1024, "en"), bytes(5_600_000, "zh")]).toEqual(["0 B", "1,023 B", "1 KiB", "5.3 MiB"]);
  });
  it("takes the largest unit of time", () => {
    expect([999, 1_000, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000].map((ms) => duration(ms, "en"))).toEqual([
      "999 ms", "1 s", "59 s", "1 min", "59 min", "1 h", "1 d",
    ]);
    expect(duration(180_000, "zh")).toBe("3 分钟");
    expect(duration(-5, "en")).toBe("0 ms");
  });
  it("writes balances exactly", () => {
    expect(coins(0n, "en")).toBe("0");
    expect(coins(1n, "en")).toBe("0.000000000000000001");
    expect(coins(1_234_500_000_000_000_000_000n, "en")).toBe("1,234.5");
  });
  it("shortens hashes and leaves short text", () => {
    expect(short("0x1234567890abcdef1234")).toBe("0x123456…1234");
    expect(short("0x1234")).toBe("0x1234");
  });
});

describe("times", () => {
  it("writes UTC", () => expect(utcTime(1_788_000_000_000)).toBe("2026-08-29 10:40:00 UTC"));
  it("survives what is no time", () => {
    expect(utcTime(Number.NaN)).toBe("–");
    expect(utcTime(1e300)).toBe("–");
    expect(zone(1e300)).toMatch(/^UTC[+−]\d\d:\d\d$/);
  });
});

describe("text from the chain", () => {
  it("leaves markup as text", () => expect(plain("<b>x</b>")).toBe("<b>x</b>"));
  it("writes out what reorders, hides or breaks text", () => {
    expect(plain("a\u202egpj.exe")).toBe("a\\u{202e}gpj.exe");
    expect(plain("a\u0000b\u200bc\ufeff\u2066")).toBe("a\\u{0}b\\u{200b}c\\u{feff}\\u{2066}");
    expect(plain("\ud800x\udc00")).toBe("\\u{d800}x\\u{dc00}");
    expect(plain("\u{e0041}")).toBe("\\u{e0041}");
  });
  it("keeps ordinary text, line feeds and emoji", () => expect(plain("合同\n\tδ 🚢")).toBe("合同\n\tδ 🚢"));
  it("cuts at the limit and not below", () => {
    expect(plain("x".repeat(2_000))).toBe("x".repeat(2_000));
    expect(plain("x".repeat(2_001))).toBe(`${"x".repeat(2_000)}…`);
  });
});

describe("commands", () => {
  it("quotes a hostile file name as one word", () => {
    expect(shellWord("a b'; rm -rf ~")).toBe("'a b'\\''; rm -rf ~'");
    expect(shellWord("-rf")).toBe("'-rf'");
    expect(shellWord("")).toBe("''");
    expect(registerCommand("$(reboot).pdf", "http://localhost:8545/")).toContain("'$(reboot).pdf'");
    expect(checkCommand("evidence-1.json")).toBe("hawser evidence check evidence-1.json");
  });
});

describe("search", () => {
  const hash = "ab".repeat(32);
  it("tells heights, addresses and hashes apart", () => {
    expect(readQuery(" 1,024 ")).toEqual({ kind: "height", height: 1024 });
    expect(readQuery(`0x${"AB".repeat(20)}`)).toEqual({ kind: "address", address: `0x${"ab".repeat(20)}` });
    expect(readQuery(hash)).toEqual({ kind: "hash", hash: `0x${hash}` });
    expect(readQuery(`0x${hash}`)).toEqual({ kind: "hash", hash: `0x${hash}` });
  });
  it("knows the longer digests of evidence", () => {
    expect(readQuery("ab".repeat(48)).kind).toBe("digest");
    expect(readQuery(`0x${"ab".repeat(64)}`).kind).toBe("digest");
  });
  it("says so when it cannot tell", () => {
    for (const bad of ["", "hello", "0x12", "0x" + "a".repeat(63), "99999999999999999", "<script>"]) expect(readQuery(bad).kind, bad).toBe("none");
  });
});

describe("endpoint", () => {
  it("is beside the page", () => {
    expect(endpoint("http://10.0.0.1:8545/#/blocks")).toEqual({ rpc: "http://10.0.0.1:8545/", socket: "ws://10.0.0.1:8545/" });
    expect(endpoint("https://g.example/node1/index.html?x=1").socket).toBe("wss://g.example/node1/");
  });
  it("names another chain only by a number", () => {
    expect(endpoint("http://n/?chain=77").rpc).toBe("http://n/chain/77");
    expect(endpoint("http://n/?chain=//evil").rpc).toBe("http://n/");
  });
});

it("milliseconds in the node's sentences become dates, and other numbers stay", () => {
  expect(moments("frozen until 1795368987024 ms; ask", "never")).toBe("frozen until 2026-11-22 17:36:27 UTC; ask");
  expect(moments("（至 1795368987024 毫秒）", "永远")).toBe("（至 2026-11-22 17:36:27 UTC）");
  expect(moments("until 18446744073709551615 ms: x", "never")).toBe("until never: x");
  for (const other of ["1795368987024", "5 ms", "11795368987024 ms", "1795368987024 msec"]) expect(moments(other, "never")).toBe(other);
});

it("amounts are cut to four decimals where space is short, and say so", () => {
  expect(about(5n * 10n ** 18n, "en")).toBe("5");
  expect(about(1_234_500_000_000_000_000_000n, "en")).toBe("1,234.5");
  expect(about(975_000_000_000_000_074_505n, "en")).toBe("≈ 975");
  expect(about(1n, "en")).toBe("≈ 0");
});
