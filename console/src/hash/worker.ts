/// <reference lib="webworker" />
import { hashFile, type Digests } from "./file";

/** What the worker tells the page. */
export type HashMessage =
  | { kind: "progress"; done: number }
  | { kind: "done"; digests: Digests }
  | { kind: "failed"; message: string };

const post = (message: HashMessage): void => (self as unknown as Worker).postMessage(message);

self.addEventListener("message", (event: MessageEvent<Blob>) => {
  hashFile(event.data, (done) => post({ kind: "progress", done })).then(
    (digests) => digests && post({ kind: "done", digests }),
    (error: unknown) => post({ kind: "failed", message: error instanceof Error ? error.message : String(error) }),
  );
});
