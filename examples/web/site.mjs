// A small site with plugins, in Node without dependencies: it lists for its visitor where plugins are offered, opens
// a plugin's page in a frame, and receives its message.
//
// Two servers, because a plugin's page should not share the site's origin: the site (the client), and the plugin's
// own (its page). In earnest they are two machines.
//
//   PLUGYARD_API     where Plugyard listens, e.g. http://127.0.0.1:9081
//   PLUGYARD_TOKEN   a token of the role `operator`; not needed with `--auth none`
//   MALL_KEY         id and secret of the plugin's key, `appId:secret`, from `POST /v1/web/keys`
//   APP_SECRET       the secret of `POST /v1/web/application/secret`, for command words
//   SITE_PORT, MALL_PORT   ports on loopback; any free ones without

import { createHash, createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const api = (process.env.PLUGYARD_API ?? "http://127.0.0.1:9081").replace(/\/+$/, "");
const token = process.env.PLUGYARD_TOKEN;
const [mallId, mallSecret] = (process.env.MALL_KEY ?? ":").split(":");

/** Who is here. A real site knows from its own session. */
const VISITOR = { id: 782622, aid: "wIfu6jaF", name: "Ada", langTag: "en" };

/** What Plugyard answers. */
async function plugyard(path, body, headers = {}) {
  const answer = await fetch(api + path, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return text;
}

const json = async (...request) => JSON.parse(await plugyard(...request));

const escaped = (text) =>
  String(text).replace(/[&<>"']/g, (it) => `&#${it.charCodeAt(0)};`);

/** JSON inside a script element. */
const inScript = (value) => JSON.stringify(value).replace(/</g, "\\u003c");

function page(title, body, nonce) {
  return {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy":
        `default-src 'self'; script-src 'self' 'nonce-${nonce}'; style-src 'unsafe-inline'; ` +
        `img-src 'self' http: https: data:; frame-src http: https:; base-uri 'none'`,
      // A launch must tell nobody where it came from: its address holds a ticket.
      "referrer-policy": "no-referrer",
    },
    body: `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem } iframe { width: 100%; height: 20rem }</style>
${body}</html>`,
  };
}

/** The client: what the visitor may open. */
async function usages() {
  // A visitor that Plugyard was not told of sees what everybody sees.
  const shown = await json(`/v1/usages?type=9&lang=${VISITOR.langTag}`);
  const items = shown.map((it, index) =>
    `<li><a href="/open?at=${index}" data-fskey="${escaped(it.fskey)}">${escaped(it.name)}</a></li>`);
  return page("Site", `<h1>Hello ${escaped(VISITOR.name)}</h1><ul id="usages">${items.join("")}</ul>`, randomUUID());
}

/** The client: opens a usage in a frame. */
async function open(at, origin) {
  const usage = (await json(`/v1/usages?type=9&lang=${VISITOR.langTag}`))[at];
  if (!usage?.url) return { status: 404, body: "There is nothing to open." };
  const identity = { aid: VISITOR.aid, uid: VISITOR.id, name: VISITOR.name, langTag: VISITOR.langTag };
  const { ticket } = await json("/v1/web/tickets", { fskey: usage.fskey, identity });
  // The rest of the address is the client's to fill, at this moment.
  const { url } = await json("/v1/web/expand", {
    url: usage.url,
    values: { authorization: ticket, postMessageKey: "bought", langTag: VISITOR.langTag },
  });
  const frame = await json(`/v1/web/plugins/${usage.fskey}/frame?client=${encodeURIComponent(origin)}`);
  const attributes = Object.entries(frame.attributes)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(" ");
  const nonce = randomUUID();
  const script = `
const frame = document.getElementById("page");
const say = (id, text) => { document.getElementById(id).textContent = text; };
PlugyardBridge.receive({
  source: frame,
  url: ${inScript(url)},
  opaque: ${inScript(frame.messageOrigin === "null")},
  keys: { bought: (message) => say("bought", message.data.thing) },
  showMessage: (text) => say("message", text),
  close: () => frame.remove(),
  redirect: (target) => say("redirect", target),
});
frame.src = ${inScript(url)};`;
  return page(usage.name, `<h1>${escaped(usage.name)}</h1>
<p>Bought: <b id="bought"></b> <i id="message"></i> <i id="redirect"></i></p>
<iframe id="page" title="${escaped(usage.name)}" ${attributes}></iframe>
<script src="/bridge.js"></script><script nonce="${nonce}">${script}</script>`, nonce);
}

/** The headers of a request that the plugin signs with its own key. */
function signed() {
  const headers = {
    "X-Fresns-App-Id": mallId,
    "X-Fresns-Client-Platform-Id": "4",
    "X-Fresns-Client-Version": "1.0.0",
    "X-Fresns-Signature-Timestamp": String(Date.now()),
  };
  const text = new URLSearchParams(Object.entries(headers).sort()).toString();
  const hash = createHash("sha256").update(`${text}&AppKey=${mallSecret}`);
  return { ...headers, "X-Fresns-Signature": hash.digest("hex") };
}

/** The plugin: its page, for whoever the ticket says. */
async function mall(query, origin, clients) {
  const exchange = await fetch(`${api}/v1/web/tickets/exchange`, {
    method: "POST",
    headers: { "content-type": "application/json", ...signed() },
    body: JSON.stringify({ ticket: query.get("ticket") ?? "", fskey: "DemoMall", origin }),
  });
  if (!exchange.ok) return { status: 403, body: "Please open the page again." };
  const { identity } = await exchange.json();
  const nonce = randomUUID();
  const script = `
const act = { postMessageKey: ${inScript(query.get("key") ?? "")}, windowClose: true };
const press = (id, act) => document.getElementById(id).addEventListener("click", act);
press("buy", () => PlugyardBridge.send(act, { data: { thing: "tea" } }));
press("fail", () => PlugyardBridge.send(act, { code: 1, message: "sold out" }));
press("other", () => PlugyardBridge.send({ ...act, postMessageKey: "unknown" }, { data: { thing: "nothing" } }));`;
  const answer = page("Demo mall", `<p>Hello <b id="who">${escaped(identity.name)}</b>, shelf <b>${escaped(query.get("shelf"))}</b></p>
<button id="buy">Buy tea</button> <button id="fail">Buy coffee</button> <button id="other">Say nonsense</button>
<script src="/bridge.js"></script><script nonce="${nonce}">${script}</script>`, nonce);
  answer.headers["content-security-policy"] += `; frame-ancestors ${clients}`;
  return answer;
}

/** The application's side of command words: a signed post for each. */
function word(headers, body) {
  const secret = Buffer.from((process.env.APP_SECRET ?? "").replace(/^whsec_/, ""), "base64");
  const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const expected = Buffer.from(`v1,${createHmac("sha256", secret).update(content).digest("base64")}`);
  const given = Buffer.from(headers["webhook-signature"] ?? "");
  if (secret.length === 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return { status: 401, body: "" };
  }
  const { data } = JSON.parse(body);
  if (data.fskey !== "DemoMall" || data.word !== "price") return { status: 404, body: "" };
  const reply = { code: 0, message: "ok", data: { thing: data.body.thing, cents: 250 } };
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(reply) };
}

const bridge = async () => ({
  headers: { "content-type": "text/javascript; charset=utf-8" },
  body: await plugyard("/web/bridge.js"),
});

/** Answers requests at a port under a name; `route` gives the answer. */
function serve(name, port, route) {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    let answer;
    try {
      answer = await route(url, request, Buffer.concat(chunks).toString());
    } catch (error) {
      console.error(error.message);
      answer = { status: 502, body: "Something did not answer." };
    }
    answer ??= { status: 404, body: "" };
    response.writeHead(answer.status ?? 200, answer.headers ?? { "content-type": "text/plain" });
    response.end(answer.body);
  });
  return new Promise((ready) => {
    server.listen(Number(port ?? 0), "127.0.0.1", () => {
      ready(`http://${name}:${server.address().port}`);
    });
  });
}

const origins = {};
origins.site = await serve("127.0.0.1", process.env.SITE_PORT, (url, request, body) => {
  if (request.method === "POST" && url.pathname === "/plugyard/words") return word(request.headers, body);
  if (url.pathname === "/") return usages();
  if (url.pathname === "/open") return open(Number(url.searchParams.get("at")), origins.site);
  if (url.pathname === "/bridge.js") return bridge();
});
// Another name, so that browsers keep the two apart as they would two machines.
origins.mall = await serve("localhost", process.env.MALL_PORT, (url) => {
  if (url.pathname === "/mall") return mall(url.searchParams, origins.mall, origins.site);
  if (url.pathname === "/bridge.js") return bridge();
});
// For who started this: where both are.
console.log(JSON.stringify(origins));
