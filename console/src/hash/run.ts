import { type Digests, hashFile } from "./file";
import type { HashMessage } from "./worker";
import workerUrl from "./worker?worker&url";

interface ScriptPolicy {
  createScriptURL(url: string): string;
}
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): ScriptPolicy;
}

/** The page's policy lets scripts be named through here only, and here only the worker is named. */
const policy: ScriptPolicy | undefined = (
  globalThis as { trustedTypes?: TrustedTypes }
).trustedTypes?.createPolicy("hawser", {
  createScriptURL(url) {
    if (url !== workerUrl) throw new TypeError("not the console's worker");
    return url;
  },
});

/** Hashes a file off the main thread. Cancels when `signal` aborts; then the promise never settles
 * with a result but rejects. */
export function hashInBackground(
  file: File,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<Digests> {
  const aborted = (): Error => new DOMException("cancelled", "AbortError");
  if (typeof Worker === "undefined") {
    return hashFile(file, (done) => (progress(done), !signal.aborted)).then((digests) => {
      if (!digests) throw aborted();
      return digests;
    });
  }
  return new Promise((resolve, reject) => {
    const url = policy ? policy.createScriptURL(workerUrl) : workerUrl;
    const worker = new Worker(url, { type: "module" });
    const end = (): void => {
      worker.terminate();
      signal.removeEventListener("abort", cancel);
    };
    const cancel = (): void => (end(), reject(aborted()));
    signal.addEventListener("abort", cancel);
    worker.addEventListener("message", (event: MessageEvent<HashMessage>) => {
      const message = event.data;
      if (message.kind === "progress") return progress(message.done);
      end();
      if (message.kind === "done") resolve(message.digests);
      else reject(new Error(message.message));
    });
    worker.addEventListener("error", (event) => (end(), reject(new Error(event.message))));
    worker.postMessage(file);
  });
}
