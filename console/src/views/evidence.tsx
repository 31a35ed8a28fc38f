import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { checkCommand, registerCommand } from "../commands";
import { bytes, group, readQuery } from "../format";
import { ALGORITHM_NAMES, findEvidence, type Found, type Wanted } from "../evidence";
import type { Digests } from "../hash/file";
import { hashInBackground } from "../hash/run";
import { useSpeech } from "../i18n";
import { live, useAsk, useLive } from "../live";
import type { Evidence } from "../model";
import { Address, Command, Failure, Field, Fields, Foreign, Hash, Loading, Panel, Time, Title } from "../parts/basic";
import { save } from "../parts/download";
import { isMissing } from "../rpc/client";
import { go, to } from "../router";

type Work =
  | { state: "none" }
  | { state: "hashing"; file: File; done: number }
  | { state: "done"; file: File; digests: Digests }
  | { state: "failed"; file: File; reason: string };

export function EvidenceView(props: { digest: string | null }): JSX.Element {
  const { t } = useSpeech();
  const [work, setWork] = useState<Work>({ state: "none" });
  const control = useRef<AbortController | null>(null);
  useEffect(() => () => control.current?.abort(), []);
  // A digest in the address replaces what was looked up before.
  useEffect(() => {
    if (props.digest === null) return;
    control.current?.abort();
    setWork({ state: "none" });
  }, [props.digest]);

  const take = (file: File): void => {
    control.current?.abort();
    const own = new AbortController();
    control.current = own;
    if (props.digest !== null) go(to.evidence());
    setWork({ state: "hashing", file, done: 0 });
    hashInBackground(file, (done) => own.signal.aborted || setWork({ state: "hashing", file, done }), own.signal).then(
      (digests) => own.signal.aborted || setWork({ state: "done", file, digests }),
      (error: Error) => own.signal.aborted || setWork({ state: "failed", file, reason: error.message }),
    );
  };
  const cancel = (): void => {
    control.current?.abort();
    setWork({ state: "none" });
  };
  return (
    <>
      <Title text={t("evidence.title")} />
      <p class="intro">{t("evidence.intro")}</p>
      <div class="columns even">
        <Drop take={take} />
        <DigestForm digest={props.digest} />
      </div>
      <div aria-live="polite">
        {work.state === "hashing" && <Progress file={work.file} done={work.done} cancel={cancel} />}
        {work.state === "failed" && (
          <div class="note bad" role="alert">
            <p>{t("evidence.failed", { reason: work.reason })}</p>
          </div>
        )}
        {work.state === "done" && (
          <Lookup file={work.file} digests={[{ algorithm: "sha-256", digest: work.digests.sha256 }, { algorithm: "sm3", digest: work.digests.sm3 }]} />
        )}
        {work.state === "none" && props.digest !== null && <Lookup file={null} digests={[{ algorithm: null, digest: props.digest }]} />}
      </div>
      <Panel title={t("evidence.register")}>
        <p>{t("evidence.register.text")}</p>
        <Command text={registerCommand(work.state === "none" ? "FILE" : work.file.name, live().rpc.url)} />
      </Panel>
    </>
  );
}

function Drop(props: { take: (file: File) => void }): JSX.Element {
  const { t } = useSpeech();
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer?.files[0];
    if (file) props.take(file);
  };
  return (
    <div
      class={`drop${over ? " over" : ""}`}
      onDragOver={(event) => (event.preventDefault(), setOver(true))}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <p>{t("evidence.drop")}</p>
      <button type="button" class="primary" onClick={() => input.current?.click()}>
        {t("evidence.choose")}
      </button>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={t("evidence.choose")}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          // So that choosing the same file again counts as a change.
          event.currentTarget.value = "";
          if (file) props.take(file);
        }}
      />
    </div>
  );
}

function DigestForm(props: { digest: string | null }): JSX.Element {
  const { t } = useSpeech();
  const [text, setText] = useState(props.digest ?? "");
  const [bad, setBad] = useState(false);
  useEffect(() => setText(props.digest ?? ""), [props.digest]);
  return (
    <form
      class="digest"
      onSubmit={(event) => {
        event.preventDefault();
        const query = readQuery(text);
        const digest = query.kind === "hash" || query.kind === "digest" ? query.hash : null;
        setBad(digest === null);
        if (digest !== null) go(to.evidence(digest));
      }}
    >
      <label>
        <span>{t("evidence.digest")}</span>
        <input
          type="text"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          placeholder="0x…"
          aria-label={t("evidence.digest.label")}
          aria-invalid={bad}
          autocomplete="off"
          spellcheck={false}
        />
      </label>
      <button type="submit">{t("evidence.lookup")}</button>
      {bad && (
        <p class="bad" role="alert">
          {t("evidence.digest.bad")}
        </p>
      )}
    </form>
  );
}

function Progress(props: { file: File; done: number; cancel: () => void }): JSX.Element {
  const { t, lang } = useSpeech();
  const { file, done } = props;
  return (
    <Panel title={<Foreign text={t("evidence.hashing", { name: file.name })} />}>
      <progress max={Math.max(1, file.size)} value={done} aria-label={t("evidence.hashing", { name: file.name })} />
      <p class="quiet" aria-hidden="true">
        {t("evidence.hashed", { done: bytes(done, lang), total: bytes(file.size, lang) })}
      </p>
      <button type="button" onClick={props.cancel}>
        {t("evidence.cancel")}
      </button>
    </Panel>
  );
}

function Lookup(props: { file: File | null; digests: Wanted[] }): JSX.Element {
  const { t, lang } = useSpeech();
  const { head } = useLive();
  const key = props.digests.map(({ digest }) => digest).join(" ");
  const call = useAsk(`evidence ${key}`, () => findEvidence(live().rpc, props.digests), head);
  const { file } = props;
  const digests = (
    <Fields>
      {file && <Field name={t("evidence.file")}><Foreign text={file.name} /> · {bytes(file.size, lang)}</Field>}
      {props.digests.map(({ algorithm, digest }) => (
        <Field key={digest} name={algorithm === null ? t("evidence.digest.short") : ALGORITHM_NAMES[algorithm]}><Hash value={digest} /></Field>
      ))}
    </Fields>
  );
  if (call.error) {
    return (
      <Panel title={t("evidence.title")}>
        {digests}
        {isMissing(call.error) ? (
          <p class="note warn" role="alert">{t("evidence.unsupported")}</p>
        ) : (
          <Failure error={call.error} retry={call.retry} />
        )}
      </Panel>
    );
  }
  if (call.data === null) return <Loading />;
  const found = call.data;
  return (
    <Panel
      class={found.length > 0 ? "found" : "absent"}
      title={found.length > 0 ? t("evidence.found", { n: found.length }) : t("evidence.notFound")}
    >
      {digests}
      {found.length === 0 && <p>{t("evidence.notFound.text")}</p>}
      {found.map((item, i) => (
        <Record key={`${item.digest}-${item.record.id ?? i}`} found={item} n={i + 1} />
      ))}
    </Panel>
  );
}

function Record(props: { found: Found; n: number }): JSX.Element {
  const { t, lang } = useSpeech();
  const { record, algorithm, digest } = props.found;
  return (
    <section class="sub">
      <h3>{t("evidence.record", { n: props.n })}</h3>
      <Fields>
        {record.owner !== null && <Field name={t("evidence.by")}><Address value={record.owner} whole /></Field>}
        <Field name={t("evidence.time")}><Time ms={record.time} /></Field>
        {record.block !== null && <Field name={t("evidence.block")}><a href={to.block(record.block)}>{group(record.block, lang)}</a></Field>}
        {record.transaction !== null && (
          <Field name={t("evidence.transaction")}><Hash value={record.transaction} href={to.transaction(record.transaction)} /></Field>
        )}
        {record.mediaType !== null && record.mediaType !== "" && (
          <Field name={t("evidence.mediaType")}><Foreign text={record.mediaType} /></Field>
        )}
        <Field name={t("evidence.description")}>
          {record.description ? <Foreign text={record.description} /> : <span class="quiet">{t("evidence.description.none")}</span>}
        </Field>
        {record.id !== null && <Field name={t("evidence.id")}><Hash value={record.id} /></Field>}
        <Field name={t("evidence.matched")}>{ALGORITHM_NAMES[algorithm]}</Field>
      </Fields>
      <Proof record={record} digest={digest} />
    </section>
  );
}

function Proof(props: { record: Evidence; digest: string }): JSX.Element {
  const { t } = useSpeech();
  const [state, set] = useState<{ kind: "none" | "working" | "had" } | { kind: "failed"; message: string }>({ kind: "none" });
  // Only hexadecimal digits reach the name of the file.
  const name = `evidence-${(props.record.id ?? props.digest).replace(/^0x/, "").replace(/[^0-9a-f]/gi, "").slice(0, 16)}.json`;
  const download = async (): Promise<void> => {
    set({ kind: "working" });
    try {
      const bundle = await live().rpc.call("hawser_getEvidenceProof", [props.record.id ?? props.digest]);
      if (bundle === null) throw new Error("the node has no proof for this record");
      save(name, "application/json", JSON.stringify(bundle, null, 2));
      set({ kind: "had" });
    } catch (error) {
      set({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
    }
  };
  return (
    <div class="proof">
      <button type="button" class="primary" disabled={state.kind === "working"} onClick={() => void download()}>
        {t(state.kind === "working" ? "evidence.proof.working" : "evidence.proof")}
      </button>
      {state.kind === "failed" && (
        <p class="bad" role="alert">
          <Foreign text={t("evidence.proof.failed", { message: state.message })} />
        </p>
      )}
      <p>{t("evidence.proof.how")}</p>
      <Command text={checkCommand(name)} />
    </div>
  );
}
