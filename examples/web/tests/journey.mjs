// What a visitor of the example does, in a real browser: `node journey.mjs SITE PLUGYARD`.
import assert from "node:assert/strict";
import { Browser } from "./browser.mjs";

const [site, plugyard] = process.argv.slice(2);
const browser = await Browser.start();
try {
  // The site lists what the visitor may open.
  const home = await browser.open(site);
  const name = await home.until(`document.querySelector("#usages a")?.textContent`);
  console.log(`offered: ${name}`);
  await home.press("#usages a");

  // The plugin's page knows who came, and its messages arrive.
  const page = await home.frame("#who");
  assert.equal(await page.until(`document.querySelector("#who").textContent`), "Ada");
  assert.equal(await page.evaluate("origin !== 'null' && parent !== window"), true);
  const text = (id) => home.evaluate(`document.querySelector("#${id}").textContent`);
  await page.press("#fail");
  await home.until(`document.querySelector("#message").textContent === "sold out"`);
  assert.equal(await home.evaluate(`!!document.querySelector("iframe")`), true, "a failure closes nothing");
  await page.press("#other");
  // A foreign window says the same as the page would.
  await home.evaluate(`window.postMessage(JSON.stringify({
    code: 0, message: "ok", data: { thing: "forged" }, action: { postMessageKey: "bought", windowClose: true },
  }), location.origin)`);
  await page.press("#buy");
  await home.until(`document.querySelector("#bought").textContent !== ""`);
  assert.equal(await text("bought"), "tea");
  assert.equal(await text("redirect"), "");
  assert.equal(await home.evaluate(`!!document.querySelector("iframe")`), false, "it was closed");
  console.log("bought: tea");

  // The ticket of that page is used up.
  const address = await browser.open(`${site}/open?at=0`);
  const launch = await address.until(`document.querySelector("iframe")?.src`);
  await address.frame("#who");
  const again = await browser.open(launch);
  await again.until(`document.body?.textContent.includes("open the page again")`);
  console.log("ticket: once");

  // The test page of the platform, whose frame has no origin.
  const bridge = await browser.open(`${plugyard}/web/bridge`);
  const plugin = await bridge.frame("#good");
  assert.equal(await plugin.evaluate("origin"), "null");
  const log = () => bridge.evaluate(`[...document.querySelectorAll("#log li")].map((it) => it.textContent)`);
  for (const button of ["unknown", "broken", "away", "failed", "good"]) await plugin.press(`#${button}`);
  await bridge.until(`document.querySelectorAll("#log li").length >= 6`);
  assert.deepEqual(await log(), [
    "reload: null",
    "message 1: it did not work",
    'reload: {"answer":42}',
    "reload data",
    "close",
    `redirect: ${plugyard}/done`,
  ]);
  console.log("bridge: works");
} finally {
  await browser.end();
}
