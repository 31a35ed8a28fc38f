import type { JSX } from "preact";
import { duration } from "../format";
import { health, type Level } from "../health";
import { sentence, useSpeech, type Values } from "../i18n";
import { useLive, useNow } from "../live";
import { Foreign } from "./basic";

const ICON: Record<Level, string> = { ok: "✓", warn: "!", bad: "✕", unknown: "?" };

/** The big sentence. What the node waits for stands below whenever something is wrong. */
export function HealthSentence(): JSX.Element {
  const { t, lang } = useSpeech();
  const state = useLive();
  const now = useNow();
  const { level, key, params } = health({ ...state, now });
  const values: Values = { ...params };
  if (params["span"] !== undefined) values["span"] = duration(Math.max(1_000, params["span"]), lang);
  const waiting = state.status?.waiting ?? [];
  return (
    <section class={`health ${level}`} aria-label={t("health.label")}>
      <p class="sentence">
        <span class="icon" aria-hidden="true">
          {ICON[level]}
        </span>
        <span>
          <span class="sr">{t(`level.${level}`)}: </span>
          {t(`health.${key}`, values)}
        </span>
      </p>
      {/* Read out when the kind of state changes, not every second with the age. */}
      <p class="sr" role="status">
        {t(`level.${level}`)}
      </p>
      {level !== "ok" && state.reachable && waiting.length > 0 && <WaitingList waiting={waiting} />}
    </section>
  );
}

export function WaitingList(props: { waiting: string[] }): JSX.Element {
  const speech = useSpeech();
  return (
    <ul class="waiting">
      {props.waiting.map((text, i) => {
        const said = sentence(text, speech);
        return (
          <li key={i} lang={said.lang === "zh" ? "zh-CN" : "en"}>
            <Foreign text={said.text} />
          </li>
        );
      })}
    </ul>
  );
}
