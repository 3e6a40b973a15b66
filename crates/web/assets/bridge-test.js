// The test page of `bridge.js`: the client outside, the plugin page in its frame.
"use strict";
const frame = document.getElementById("page");
if (frame) {
  const log = document.getElementById("log");
  const say = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    log.append(item);
  };
  const url = new URL("/web/bridge/page", location.href);
  url.searchParams.set("client", location.origin);
  PlugyardBridge.receive({
    source: frame,
    url: url.href,
    // It shares our origin, so its sandbox gives it none.
    opaque: true,
    keys: { reload: (message) => say(`reload: ${JSON.stringify(message.data)}`) },
    showMessage: (text, code) => say(`message ${code}: ${text}`),
    close: () => say("close"),
    reload: () => say("reload data"),
    redirect: (target) => say(`redirect: ${target}`),
  });
  frame.src = url.href;
} else {
  const origin = new URLSearchParams(location.search).get("client") ?? [];
  const press = (id, act) => document.getElementById(id).addEventListener("click", act);
  const good = { postMessageKey: "reload", windowClose: true, reloadData: true, redirectUrl: "/done" };
  press("good", () => PlugyardBridge.send(good, { origin, data: { answer: 42 } }));
  press("unknown", () => PlugyardBridge.send({ ...good, postMessageKey: "other" }, { origin }));
  press("failed", () => PlugyardBridge.send(good, { origin, code: 1, message: "it did not work" }));
  press("away", () =>
    PlugyardBridge.send({ postMessageKey: "reload", redirectUrl: "https://evil.example/" }, { origin }));
  press("broken", () => parent.postMessage("{", origin));
}
