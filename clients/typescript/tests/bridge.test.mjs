// The script that plugin pages and clients load, as it is served, in windows that are made up.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const built = new URL("../../../crates/web/assets/bridge.js", import.meta.url);
const script = readFileSync(built, "utf8");
const CLIENT = "https://app.example";
const PAGE = "https://plug.example";

/** Loads the script into a window. */
function load(more = {}, origins = []) {
  const listeners = new Set();
  const window = {
    addEventListener: (_type, listener) => listeners.add(listener),
    removeEventListener: (_type, listener) => listeners.delete(listener),
    URL,
    location: { href: `${CLIENT}/here`, assign: () => assert.fail("it went away by itself") },
    navigator: { userAgent: "Mozilla/5.0" },
    opener: null,
    ...more,
  };
  window.window = window;
  window.parent ??= window;
  const source = script.replace("[ /*client-origins*/]", JSON.stringify(origins));
  assert.notEqual(source, script, "the place for origins is there");
  vm.runInNewContext(source, window);
  const dispatch = (event) => listeners.forEach((listener) => listener(event));
  return { bridge: window.PlugyardBridge, dispatch, listeners };
}

/** What a parent or a native client gets. */
function sent() {
  const messages = [];
  return { messages, postMessage: (text, origin) => messages.push([text, origin]) };
}

const ACTION = { postMessageKey: "reload", windowClose: true };

test("a page sends to the origins of clients and to nobody else", () => {
  const parent = sent();
  const { bridge } = load({ parent }, [CLIENT, "https://other.example"]);
  assert.equal(bridge.send(ACTION, { data: { a: 1 } }), "web");
  assert.deepEqual(parent.messages.map(([, origin]) => origin), [CLIENT, "https://other.example"]);
  assert.deepEqual(JSON.parse(parent.messages[0][0]), {
    code: 0,
    message: "ok",
    data: { a: 1 },
    action: { postMessageKey: "reload", windowClose: true, reloadData: false, redirectUrl: "", dataHandler: "" },
  });
});

test("a page never sends to everybody, and nowhere without an origin", () => {
  const parent = sent();
  const { bridge } = load({ parent });
  assert.equal(bridge.send(ACTION), "none");
  assert.equal(bridge.send(ACTION, { origin: "*" }), "none");
  assert.equal(parent.messages.length, 0);
  assert.equal(load({}, [CLIENT]).bridge.send(ACTION), "none", "nobody opened this one");
});

test("every native channel gets the message as a string", () => {
  const text = [];
  const take = (value) => text.push(value);
  let back = 0;
  for (const [channel, native] of [
    ["ios", { webkit: { messageHandlers: { iOSHandler: { postMessage: take } } } }],
    ["android", { Android: { receiveMessage: take } }],
    ["flutter", { FresnsJavascriptChannel: { postMessage: take } }],
    ["react-native", { ReactNativeWebView: { postMessage: take } }],
    [
      "mini-program",
      {
        navigator: { userAgent: "MicroMessenger miniProgram" },
        wx: { miniProgram: { postMessage: ({ data }) => take(data), navigateBack: () => (back += 1) } },
      },
    ],
  ]) {
    const parent = sent();
    assert.equal(load({ parent, ...native }, [CLIENT]).bridge.send(ACTION), channel);
    assert.equal(parent.messages.length, 0, channel);
  }
  assert.equal(text.length, 5);
  assert.ok(text.every((it) => JSON.parse(it).action.postMessageKey === "reload"));
  assert.equal(back, 1);
});

/** A client with a frame; `seen` is everything that changed. */
function client(options = {}) {
  const seen = [];
  const frame = {};
  const { bridge, dispatch, listeners } = load();
  const end = bridge.receive({
    source: { contentWindow: frame },
    url: `${PAGE}/mall?x=1`,
    keys: { reload: (message) => seen.push(["reload", message.data]) },
    showMessage: (text, code) => seen.push(["message", code, text]),
    close: () => seen.push(["close"]),
    reload: () => seen.push(["data"]),
    redirect: (url) => seen.push(["redirect", url]),
    ...options,
  });
  const post = (message, from = {}) => {
    const data = typeof message === "string" ? message : JSON.stringify(message);
    dispatch({ data, origin: PAGE, source: frame, ...from });
  };
  return { seen, post, end, listeners };
}

const message = (action, more = {}) => ({ code: 0, message: "ok", data: 7, action, ...more });

test("a message of the opened page is followed", () => {
  const { seen, post, end, listeners } = client();
  post(message({ ...ACTION, reloadData: true, redirectUrl: "/next" }));
  assert.deepEqual(seen, [["reload", 7], ["data"], ["close"], ["redirect", `${CLIENT}/next`]]);
  end();
  assert.equal(listeners.size, 0);
});

test("a message from elsewhere, or that is none, changes nothing", () => {
  const { seen, post } = client();
  const good = message(ACTION);
  post(good, { origin: "https://evil.example" });
  post(good, { origin: "null" });
  post(good, { source: {} });
  post(good, { source: null });
  post(message({ postMessageKey: "other", windowClose: true, redirectUrl: "/x" }));
  post(message({ postMessageKey: "constructor", windowClose: true }));
  for (const text of ["", "{", "null", "[]", "7", '{"code":"0"}', '{"action":{}}']) {
    post(text);
  }
  assert.deepEqual(seen, []);
});

test("a message with another code than 0 shows its text and does nothing else", () => {
  const { seen, post } = client();
  const failed = { code: 1, message: "no money" };
  post(message({ ...ACTION, reloadData: true, redirectUrl: "/x" }, failed));
  post(message({ postMessageKey: "other" }, failed));
  post({ code: 2, message: "no action" });
  assert.deepEqual(seen, [["message", 1, "no money"], ["message", 2, "no action"]]);
});

test("a page without an origin is known by its window alone", () => {
  const { seen, post } = client({ opaque: true });
  post(message(ACTION), { origin: PAGE });
  assert.deepEqual(seen, []);
  post(message(ACTION), { origin: "null" });
  assert.equal(seen.length, 2);
});

test("only addresses of this host and allowed origins are followed", () => {
  const { bridge } = load();
  const target = (url, from = `${CLIENT}/a`) => bridge.redirectTarget(url, from, ["https://pay.example"]);
  assert.equal(target("/b?c#d"), `${CLIENT}/b?c#d`);
  assert.equal(target(`${CLIENT}:8443/b`), `${CLIENT}:8443/b`);
  assert.equal(target("https://pay.example/x"), "https://pay.example/x");
  for (const bad of [
    "https://evil.example/",
    "//evil.example/",
    "http://app.example/",
    "https://app.example.evil.example/",
    "https://app.example@evil.example/",
    "https://u:p@app.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "https://pay.example:444/",
    "https://[",
  ]) {
    assert.equal(target(bad), null, bad);
  }
  assert.equal(target("http://app.example/x", "http://app.example/"), "http://app.example/x");
});
