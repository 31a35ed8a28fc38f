// @vitest-environment node
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

it("the mock node sends the policy that the real one sends", async () => {
  const source = readFileSync(join(import.meta.dirname, "../../crates/console/src/lib.rs"), "utf8");
  const literal = /CONTENT_SECURITY_POLICY: &str =\s*"([^"]*)"/.exec(source)?.[1];
  // A backslash at the end of a line of a Rust literal swallows the break and the indentation.
  const real = literal?.replace(/\\\n\s*/g, "");
  const path = "../dev/mock.mjs";
  const { CSP } = (await import(/* @vite-ignore */ path)) as { CSP: string };
  expect(CSP).toBe(real);
});
it("the lock file names no host to fetch packages from", () => {
  expect(readFileSync(join(import.meta.dirname, "../package-lock.json"), "utf8")).not.toContain('"resolved"');
});
