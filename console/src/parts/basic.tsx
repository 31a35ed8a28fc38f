/** Small pieces that every view is made of. Text reaches the page only as text nodes. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { duration, localTime, plain, short, utcTime, zone } from "../format";
import { useSpeech } from "../i18n";
import { useNow } from "../live";
import { FORBIDDEN, isMissing, RpcError, UNAVAILABLE } from "../rpc/client";
import { to } from "../router";

export function Panel(props: {
  title: ComponentChildren;
  aside?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}): JSX.Element {
  const id = useId();
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{props.title}</h2>
        {props.aside !== undefined && <div class="aside">{props.aside}</div>}
      </header>
      {props.children}
    </section>
  );
}

/** Names and values. */
export function Fields(props: { children: ComponentChildren }): JSX.Element {
  return <dl class="fields">{props.children}</dl>;
}

export function Field(props: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

export function Loading(): JSX.Element {
  const { t } = useSpeech();
  return (
    <p class="quiet" role="status">
      {t("app.loading")}
    </p>
  );
}

/** What went wrong and what to do. */
export function Failure(props: { error: Error; retry?: () => void }): JSX.Element {
  const { t } = useSpeech();
  const { error } = props;
  let text: string;
  if (!(error instanceof RpcError)) text = t("error.unreachable", { reason: plain(error.message, 300) });
  else if (error.code === UNAVAILABLE) text = t("error.unavailable");
  else if (error.code === FORBIDDEN) text = t("error.forbidden", { message: plain(error.message, 300), rule: plain(error.rule ?? "–", 80) });
  else if (error.code === -32005) text = t("error.busy", { message: plain(error.message, 300) });
  else text = t("error.rpc", { message: plain(error.message, 300), code: String(error.code) });
  return (
    <div class="note bad" role="alert">
      <p>
        <strong>{t("error.title")}</strong> {text}
      </p>
      {props.retry && (
        <button type="button" onClick={props.retry}>
          {t("app.retry")}
        </button>
      )}
    </div>
  );
}

/** A panel's content: nothing when the node lacks the method, an error, or the data. */
export function Ready<T>(props: {
  call: { data: T | null; error: Error | null; loading: boolean; retry: () => void };
  empty?: ComponentChildren;
  children: (data: T) => ComponentChildren;
}): JSX.Element | null {
  const { call } = props;
  if (call.error && isMissing(call.error)) return null;
  if (call.data !== null) return <>{props.children(call.data)}</>;
  if (call.error) return <Failure error={call.error} retry={call.retry} />;
  if (call.loading) return <Loading />;
  return <>{props.empty ?? null}</>;
}

/** Copies a value; says so to eyes and to screen readers. */
export function Copy(props: { value: string; label?: string }): JSX.Element {
  const { t } = useSpeech();
  const [done, set] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => set(false), 1_500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(props.value);
    } catch {
      // The clipboard interface needs HTTPS or localhost; a node is often neither.
      const area = document.createElement("textarea");
      area.value = props.value;
      area.className = "offscreen";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    set(true);
  };
  return (
    <button type="button" class="copy" onClick={() => void copy()} aria-label={`${t("app.copy")} ${props.label ?? ""}`.trim()}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        {done ? <path d="M3 8.5 6.5 12 13 4.5" /> : <path d="M5.5 5.5h7v8h-7zM3.5 10.5v-8h7" />}
      </svg>
      <span class="sr" role="status">
        {done ? t("app.copied") : ""}
      </span>
    </button>
  );
}

/** A hash or address, whole, broken where the line ends, with a button that copies it. */
export function Hash(props: { value: string; href?: string; label?: string }): JSX.Element {
  if (props.value === "") return <span>–</span>;
  const text = <code class="hash">{plain(props.value, 400)}</code>;
  return (
    <span class="whole">
      {props.href ? <a href={props.href}>{text}</a> : text}
      <Copy value={props.value} label={props.label ?? short(props.value)} />
    </span>
  );
}

/** The same, shortened, for tables. */
export function ShortHash(props: { value: string; href?: string }): JSX.Element {
  if (props.value === "") return <span>–</span>;
  const text = (
    <code class="hash" title={props.value}>
      {plain(short(props.value))}
    </code>
  );
  return props.href ? <a href={props.href}>{text}</a> : text;
}

export function Address(props: { value: string; whole?: boolean; name?: string | null }): JSX.Element {
  const valid = /^0x[0-9a-f]{40}$/.test(props.value);
  const href = valid ? to.account(props.value) : undefined;
  const named = props.name ? <span class="named">{plain(props.name, 80)} </span> : null;
  const rest = href === undefined ? {} : { href };
  return (
    <span>
      {named}
      {props.whole ? <Hash value={props.value} {...rest} /> : <ShortHash value={props.value} {...rest} />}
    </span>
  );
}

/** A time in the reader's zone and in UTC, with its age. */
export function Time(props: { ms: number | null }): JSX.Element {
  const { t, lang } = useSpeech();
  const now = useNow();
  if (props.ms === null) return <span>–</span>;
  const ahead = props.ms > now;
  return (
    <time dateTime={iso(props.ms)}>
      <span class="nowrap">
        {localTime(props.ms)} ({zone(props.ms)})
      </span>
      {" · "}
      <span class="nowrap">{utcTime(props.ms)}</span>
      {!ahead && <span class="quiet nowrap"> · {t("time.ago", { span: duration(now - props.ms, lang) })}</span>}
    </time>
  );
}

/** Age only, for tables; the exact time is in the tooltip and on the block's page. */
export function Age(props: { ms: number | null }): JSX.Element {
  const { t, lang } = useSpeech();
  const now = useNow();
  if (props.ms === null) return <span>–</span>;
  const span = now - props.ms;
  return (
    <time dateTime={iso(props.ms)} title={`${localTime(props.ms)} (${zone(props.ms)}) · ${utcTime(props.ms)}`} class="nowrap">
      {span < 1_000 ? t("time.now") : t("time.ago", { span: duration(span, lang) })}
    </time>
  );
}

const iso = (ms: number): string => {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
};

/** Text that somebody put on the chain: shown as it is, isolated so that it cannot reorder what
 * stands around it. */
export function Foreign(props: { text: string; class?: string }): JSX.Element {
  return <bdi class={`foreign ${props.class ?? ""}`}>{plain(props.text)}</bdi>;
}

/** Bytes, cut to what a page can bear, until asked for all of them. */
export function Bytes(props: { value: string }): JSX.Element {
  const { t } = useSpeech();
  const [all, set] = useState(false);
  const max = all ? 200_000 : 512;
  return (
    <div class="bytes">
      <pre tabIndex={0}>
        <code>{plain(props.value, max)}</code>
      </pre>
      <Copy value={props.value} />
      {!all && props.value.length > max && (
        <button type="button" onClick={() => set(true)}>
          {t("app.more")}
        </button>
      )}
    </div>
  );
}

/** A command to type, with a button that copies it. */
export function Command(props: { text: string }): JSX.Element {
  return (
    <div class="command">
      <pre tabIndex={0}>
        <code>{plain(props.text)}</code>
      </pre>
      <Copy value={props.text} />
    </div>
  );
}

/** The heading of a view: takes the focus when the view appears, so that keyboards and screen
 * readers start there, and names the browser's tab. */
export function Title(props: { text: string; children?: ComponentChildren }): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  const { t } = useSpeech();
  useEffect(() => {
    document.title = `${props.text} · ${t("app.name")}`;
  }, [props.text, t]);
  useEffect(() => {
    if (location.hash !== "" && document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div class="title">
      <h1 ref={heading} tabIndex={-1}>
        {props.text}
      </h1>
      {props.children}
    </div>
  );
}

/** A table. Every cell knows its column's name, for where the head is not shown. */
export function Table<R>(props: {
  caption: string;
  columns: { name: string; number?: boolean; cell: (row: R) => ComponentChildren }[];
  rows: R[];
  rowKey: (row: R) => string | number;
  /** Too wide for a phone: there every row becomes a card. */
  stack?: boolean;
}): JSX.Element {
  return (
    <table class={props.stack ? "stack" : ""}>
      <caption class="sr">{props.caption}</caption>
      <thead>
        <tr>
          {props.columns.map((column) => (
            <th key={column.name} scope="col" class={column.number ? "number" : ""}>
              {column.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {props.rows.map((row) => (
          <tr key={props.rowKey(row)}>
            {props.columns.map((column) => (
              <td key={column.name} data-label={column.name} class={column.number ? "number" : ""}>
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
