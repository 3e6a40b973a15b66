/**
 * The client's half of a plugin page's address.
 *
 * The server makes the address of a usage and replaces `{parameter}` in it; every other variable is the
 * client's, at the moment the user opens the page. `expand` fills them, with the same result to the byte as the
 * server's `POST /v1/web/expand`. It needs nothing but the language and runs in browsers and in Node.
 */

/** What a variable can be filled with. `null` and `undefined` count as absent; 0 and `false` are values. */
export type Value = string | number | bigint | boolean | null | undefined;

/** Values by the names of variables, without braces. Case matters. */
export type Values = Readonly<Record<string, Value>>;

/** Variables whose values come percent-encoded already and are put in as they are. */
export const ENCODED: ReadonlySet<string> = new Set([
  "accessToken",
  "authorization",
  "redirectUrl",
  "sign",
  "uploadInfo",
]);

/** A letter, then up to 31 letters and digits, in braces. */
const TOKEN = /\{([A-Za-z][A-Za-z0-9]{0,31})\}/g;

/**
 * Fills the variables of an address, in one pass from left to right.
 *
 * Values are percent-encoded as one component (only `A-Z a-z 0-9 - . _ ~` stay), those of {@link ENCODED} put in as
 * they are. A variable without a value is replaced by nothing, so that no braces of variables remain. Inserted text
 * is never looked at again.
 */
export function expand(url: string, values: Values): string {
  return url.replace(TOKEN, (_token, name: string) => {
    // Only what the caller gave: every object also has a `constructor`.
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === null || value === undefined) {
      return "";
    }
    return ENCODED.has(name) ? String(value) : component(String(value));
  });
}

/** The variables that an address still has, each once, in order of appearance. */
export function variables(url: string): string[] {
  const names = new Set<string>();
  for (const match of url.matchAll(TOKEN)) {
    if (match[1] !== undefined) {
      names.add(match[1]);
    }
  }
  return [...names];
}

/** Percent-encodes the UTF-8 of a text, all but `A-Z a-z 0-9 - . _ ~`. Halves of surrogate pairs become U+FFFD. */
export function component(text: string): string {
  let encoded = "";
  for (const byte of new TextEncoder().encode(text)) {
    const character = String.fromCharCode(byte);
    encoded += /[A-Za-z0-9._~-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
