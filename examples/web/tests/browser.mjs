// Drives a browser over the DevTools protocol, by a pipe: no driver, no dependencies.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATIENCE = 60_000;

export class Browser {
  #child;
  #profile;
  #next = 1;
  #waiting = new Map();
  #sessions = new Map();
  #listeners = [];

  static async start() {
    const browser = new Browser();
    browser.#profile = await mkdtemp(join(tmpdir(), "plugyard-browser-"));
    browser.#child = spawn(
      process.env.CHROMIUM ?? "chromium",
      [
        "--headless=new",
        "--remote-debugging-pipe",
        "--no-sandbox", // the tests run as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        `--user-data-dir=${browser.#profile}`,
        "about:blank",
      ],
      { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
    );
    let rest = "";
    browser.#child.stdio[4].setEncoding("utf8").on("data", (text) => {
      const parts = (rest + text).split("\0");
      rest = parts.pop();
      for (const part of parts) browser.#take(JSON.parse(part));
    });
    return browser;
  }

  #take(message) {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const { resolve, reject } = this.#waiting.get(message.id) ?? {};
    this.#waiting.delete(message.id);
    if (message.error) reject?.(new Error(JSON.stringify(message.error)));
    else resolve?.(message.result);
  }

  /** Calls a method of the protocol. */
  call(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** Opens an address in a tab of its own. */
  async open(url) {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const tab = new Tab(this, sessionId);
    const frames = [];
    this.#listeners.push((message) => {
      if (message.method === "Target.attachedToTarget" && message.sessionId === sessionId) {
        frames.push(new Tab(this, message.params.sessionId));
      }
    });
    tab.frames = frames;
    // Frames of other origins are targets of their own.
    await this.call("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: true }, sessionId);
    await this.call("Page.enable", {}, sessionId);
    await this.call("Page.navigate", { url }, sessionId);
    return tab;
  }

  async end() {
    await this.call("Browser.close").catch(() => {});
    this.#child.kill("SIGKILL");
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 10 }).catch(() => {});
  }
}

export class Tab {
  constructor(browser, session) {
    this.browser = browser;
    this.session = session;
    this.frames = [];
  }

  /** The value of an expression in the page. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.browser.call(
      "Runtime.evaluate",
      { expression, awaitPromise: true, returnByValue: true },
      this.session,
    );
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until an expression has a value that is something. */
  async until(expression) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const value = await this.evaluate(expression).catch(() => undefined);
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`waited in vain for ${expression}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** The frame in which an element is, with all its scripts; frames of other origins are looked through. */
  async frame(selector) {
    const deadline = Date.now() + PATIENCE;
    const found = `!!document.querySelector(${JSON.stringify(selector)})`;
    const expression = `document.readyState === "complete" && ${found}`;
    for (;;) {
      for (const frame of this.frames) {
        if (await frame.evaluate(expression).catch(() => false)) return frame;
      }
      if (Date.now() > deadline) throw new Error(`waited in vain for a frame with ${selector}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** Presses an element. */
  press(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }
}
