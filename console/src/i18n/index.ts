/** Both languages side by side; which one is remembered in this browser. */

import { useEffect, useState } from "preact/hooks";
import { group, type Lang } from "../format";
import { en as console_ } from "./en";
import { en as governance } from "./governance/en";
import { zh as governanceZh } from "./governance/zh";
import { zh as consoleZh } from "./zh";

const en = { ...console_, ...governance };
const zh = { ...consoleZh, ...governanceZh };
export type Key = keyof typeof en;
export type Messages = Record<Key, string>;
export type Values = Record<string, string | number | bigint>;

export const messages: Record<Lang, Messages> = { en, zh };
const STORE = "hawser.language";

/** Fills a message. Numbers are grouped the way the language does. */
export function fill(message: string, lang: Lang, values: Values = {}): string {
  return message.replace(/\{(\w+)(?:#([^#{}]*)#([^#{}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one !== undefined && many !== undefined) return Number(value) === 1 ? one : many;
    return typeof value === "string" ? value : group(value, lang);
  });
}

function initial(): Lang {
  try {
    const stored = localStorage.getItem(STORE);
    if (stored === "en" || stored === "zh") return stored;
  } catch {
    // Storage may be forbidden; then the choice lasts for this visit.
  }
  return preferred(navigator.languages ?? [navigator.language]);
}

/** The first of the browser's languages that the console speaks. */
export function preferred(languages: readonly string[]): Lang {
  for (const language of languages) {
    if (/^zh\b/i.test(language)) return "zh";
    if (/^en\b/i.test(language)) return "en";
  }
  return "en";
}

let lang: Lang | null = null;
const listeners = new Set<() => void>();

export function currentLang(): Lang {
  lang ??= initial();
  return lang;
}

export function setLang(next: Lang): void {
  lang = next;
  try {
    localStorage.setItem(STORE, next);
  } catch {
    // As above.
  }
  for (const listener of listeners) listener();
}

export interface Speech {
  lang: Lang;
  t: (key: Key, values?: Values) => string;
}

export function speech(lang: Lang): Speech {
  return { lang, t: (key, values) => fill(messages[lang][key], lang, values) };
}

export function useSpeech(): Speech {
  const [lang, set] = useState(currentLang());
  useEffect(() => {
    const changed = (): void => set(currentLang());
    listeners.add(changed);
    return () => void listeners.delete(changed);
  }, []);
  return speech(lang);
}

const number = (text: string | undefined): string => text ?? "";

/** The node's own sentences, which are English, in the reader's language where they are known;
 * others stay as they are. */
export function sentence(text: string, { lang, t }: Speech): { text: string; lang: Lang } {
  if (lang === "en") return { text, lang };
  const grouped = (digits: string | undefined): string => (digits === undefined ? "" : group(BigInt(digits), lang));
  let found = /^links: (\d+) of (\d+) configured peers are connected; with this node that is (\d+) of the (\d+) validators/.exec(text);
  if (found) {
    return {
      lang,
      text: t("waiting.links", {
        connected: number(found[1]), configured: number(found[2]), reachable: number(found[3]), needed: number(found[4]),
      }),
    };
  }
  found = /^catching up: block (\d+) of (\d+) is here/.exec(text);
  if (found) return { lang, text: t("waiting.catchingUp", { height: grouped(found[1]), target: grouped(found[2]) }) };
  found = /^execution is (\d+) blocks? behind agreement$/.exec(text);
  if (found) return { lang, text: t("waiting.execution", { behind: grouped(found[1]) }) };
  found = /^block (\d+), round (\d+): (.+); no vote in this round yet from (.+)$/.exec(text);
  if (found) {
    return {
      lang,
      text: t("waiting.votes", {
        height: grouped(found[1]), round: number(found[2]), step: step(number(found[3]), { lang, t }),
        silent: found[4] === "nobody" ? t("waiting.nobody") : number(found[4]),
      }),
    };
  }
  return { text, lang: "en" };
}

/** The step of agreement, in words. */
export function step(text: string, { lang, t }: Speech): string {
  const key = `step.${text}`;
  return key in messages[lang] ? t(key as Key) : text;
}
