// npm test, or `cargo xtask test`, which brings the compiler.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { component, expand, variables, type Values } from "../src/index.js";

interface Case {
  readonly row?: number;
  readonly url: string;
  readonly values: Values;
  readonly expanded: string;
}

// The table that the server's tests run too.
const file = process.env["PLUGYARD_VECTORS"] ?? new URL("../../../vectors/expand.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { readonly cases: readonly Case[] };

test("every case of the table that all clients share", () => {
  assert.ok(cases.length > 25);
  for (const { url, values, expanded } of cases) {
    assert.equal(expand(url, values), expanded, `${url} with ${JSON.stringify(values)}`);
  }
});

test("what JSON cannot say", () => {
  assert.equal(expand("{uid}|{gid}|{pid}", { uid: undefined, gid: 12345678901234567890n, pid: Number.NaN }), "|12345678901234567890|NaN");
  assert.equal(component("\ud800"), "%EF%BF%BD");
});

test("values are only what the caller gave", () => {
  const inherited = Object.create({ uid: "inherited" }) as Values;
  assert.equal(expand("{uid}{__proto__}", inherited), "{__proto__}");
  const own: Values = Object.assign(Object.create(null) as Values, { uid: 1 });
  assert.equal(expand("{uid}", own), "1");
});

test("the variables that are left", () => {
  assert.deepEqual(variables("https://h/{uid}?a={gid}&b={uid}&c={not one}&d={"), ["uid", "gid"]);
  assert.deepEqual(variables("https://h/p"), []);
});
