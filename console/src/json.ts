/** Values of JSON, taken for what they are: nothing where another type was expected. */

export type Json = Record<string, unknown>;

export const object = (value: unknown): Json | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
export const texts = (value: unknown): string[] => list(value).filter((item) => typeof item === "string");
export const first = (from: Json, ...names: string[]): unknown => {
  for (const name of names) if (from[name] !== undefined && from[name] !== null) return from[name];
  return null;
};
