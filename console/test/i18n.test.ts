import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fill, type Key, messages, preferred, sentence, speech } from "../src/i18n";

const names = (message: string): string[] =>
  [...new Set([...message.matchAll(/\{(\w+)/g)].map((found) => found[1] ?? ""))].sort();
const keys = Object.keys(messages.en) as Key[];

describe("both languages", () => {
  it("have the same keys", () => expect(Object.keys(messages.zh).sort()).toEqual([...keys].sort()));
  it("name the same values in every message", () => {
    for (const key of keys) {
      expect(messages.zh[key].trim(), key).not.toBe("");
      expect(messages.en[key].trim(), key).not.toBe("");
      expect(names(messages.zh[key]), key).toEqual(names(messages.en[key]));
    }
  });
  it("are not left untranslated", () => {
    const same = keys.filter((key) => messages.en[key] === messages.zh[key]);
    expect(same.sort()).toEqual(["account.code.size", "tx.gas"]);
  });
  it("use every key somewhere", () => {
    const sources = (folder: string): string =>
      readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.name !== "en.ts" && entry.name !== "zh.ts")
        .map((entry) => (entry.isDirectory() ? sources(join(folder, entry.name)) : readFileSync(join(folder, entry.name), "utf8")))
        .join("\n");
    const code = sources(join(import.meta.dirname, "../src"));
    // Keys that are put together from parts.
    const made = /^(health|level|step|committee\.(yes|no)|tx\.type|pool\.state|node\.suite|gov\.(role|action|kind|status|mode|account|entry|basis|parameter|resource)|sup\.span)\./;
    expect(keys.filter((key) => !made.test(key) && !code.includes(`"${key}"`))).toEqual([]);
  });
});

describe("filling", () => {
  it("puts values in and groups numbers", () => expect(fill("{n} of {name}", "en", { n: 12345, name: "x" })).toBe("12,345 of x"));
  it("picks the plural", () => {
    expect(fill("{n} {n#block#blocks}", "en", { n: 1 })).toBe("1 block");
    expect(fill("{n} {n#block#blocks}", "en", { n: 0 })).toBe("0 blocks");
  });
  it("does not fill what a value brings along", () => expect(fill("{a}", "en", { a: "{b}", b: "x" })).toBe("{b}"));
});

it("follows the browser's order of languages", () => {
  expect(preferred(["fr", "zh-TW", "en"])).toBe("zh");
  expect(preferred(["en-GB", "zh"])).toBe("en");
  expect(preferred(["de"])).toBe("en");
});

describe("the node's sentences", () => {
  const zh = speech("zh");
  it.each([
    "links: 0 of 3 configured peers are connected; with this node that is 1 of the 3 validators that a quorum needs. Check that the other nodes run and that their addresses are reachable",
    "catching up: block 12 of 3400 is here; blocks are being fetched from peers",
    "execution is 9 blocks behind agreement",
    "block 8, round 2: waiting for prevotes; no vote in this round yet from a, b",
  ])("are told in Chinese: %s", (text) => {
    const said = sentence(text, zh);
    expect(said.lang).toBe("zh");
    expect(said.text).not.toMatch(/\{\w+\}/);
    for (const number of text.match(/\d+/g) ?? []) expect(said.text.replaceAll(",", "")).toContain(number);
  });
  it("stay as they are when unknown", () => expect(sentence("disk is full", zh)).toEqual({ text: "disk is full", lang: "en" }));
});
