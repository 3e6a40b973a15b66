// What an operator does with the settings form of a theme, in a real browser: `node theme.mjs PLUGYARD`.
import assert from "node:assert/strict";
import { Browser } from "./browser.mjs";

const [plugyard] = process.argv.slice(2);
const browser = await Browser.start();
try {
  const form = await browser.open(`${plugyard}/web/themes/FancyTheme/settings`);
  const count = await form.until(`document.querySelectorAll("#fields fieldset").length`);
  assert.equal(await form.evaluate(`document.title`), "The FancyTheme 1.0.0");
  console.log(`shown: ${count} fields`);

  const field = (key) => `[...document.querySelectorAll("fieldset")].find((it) =>
    it.querySelector("legend").textContent === "${key}").querySelector("input, select, textarea")`;
  await form.evaluate(`${field("fancy_title")}.value = "Hello"`);
  await form.evaluate(`${field("fancy_colour")}.selectedIndex = 2`);
  await form.evaluate(`${field("fancy_count")}.value = "4"`);
  await form.evaluate(`${field("fancy_on")}.checked = true`);
  await form.press("#save");
  await form.until(`document.querySelector("#note").textContent === "Saved"`);
  const value = (key) => form.evaluate(`${field(key)}.value`);
  const colour = await form.evaluate(`${field("fancy_colour")}.selectedOptions[0].textContent.toLowerCase()`);
  console.log(`saved: ${await value("fancy_title")} ${colour} ${await value("fancy_count")}`);

  // What the server refuses stays in the form, with the reason.
  await form.evaluate(`${field("fancy_plugin")}.value = "Missing"`);
  await form.press("#save");
  await form.until(`document.querySelector("#wrong").textContent.includes("fancy_plugin")`);
  assert.equal(await value("fancy_plugin"), "Missing");
  console.log("refused: kept");
} finally {
  await browser.end();
}
