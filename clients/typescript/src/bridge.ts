/**
 * Messages between a plugin page and the client that opened it.
 *
 * One script for both sides, without dependencies, to be loaded by a `<script>` element: it defines
 * `PlugyardBridge`. A plugin page calls `send`; a client calls `receive` with the frame it opened. A message is a
 * JSON string with `code`, `message`, `data` and `action`, as clients of Fresns know it.
 *
 * A page never sends to `*`: it names the client's origin. A client takes nothing that did not come from the
 * frame it opened and from the origin it opened there, and follows no address that leads elsewhere.
 */

type DataHandler = "" | "add" | "remove" | "reload";

/** What the client is to do. */
interface BridgeAction {
  /** The name under which the client expects the message. */
  postMessageKey: string;
  windowClose: boolean;
  reloadData: boolean;
  redirectUrl: string;
  dataHandler: DataHandler;
}

/** A message. `code` is 0 when all went well. */
interface BridgeMessage {
  code: number;
  message: string;
  data: unknown;
  action: BridgeAction;
}

/** How a message left the page; `none`: nobody was there to take it. */
type BridgeChannel = "ios" | "android" | "flutter" | "react-native" | "mini-program" | "web" | "none";

interface SendOptions {
  code?: number;
  message?: string;
  data?: unknown;
  /** The client's origin, or several that may have opened the page. Those the server knows, when left out. */
  origin?: string | readonly string[];
}

interface ReceiveOptions {
  /** The frame or window that was opened. */
  source: HTMLIFrameElement | Window;
  /** The address that was opened in it. */
  url: string;
  /** The frame is sandboxed without `allow-same-origin`, so that its page has no origin. */
  opaque?: boolean;
  /** What to do, by `postMessageKey`. Messages with another key change nothing. */
  keys: Readonly<Record<string, (message: BridgeMessage) => void>>;
  /** Shows the text of a message whose `code` is not 0. */
  showMessage?: (text: string, code: number) => void;
  close?: () => void;
  reload?: () => void;
  /** Goes to an address; by default in this window. */
  redirect?: (url: string) => void;
  /** Origins that may be gone to beside those of this host. */
  allowedRedirects?: readonly string[];
}

interface Bridge {
  send(action: Partial<BridgeAction>, options?: SendOptions): BridgeChannel;
  receive(options: ReceiveOptions): () => void;
  parse(text: unknown): BridgeMessage | null;
  redirectTarget(url: string, from: string, allowed?: readonly string[]): string | null;
}

/** What native clients put into the page's window. */
interface NativeWindow {
  webkit?: { messageHandlers?: { iOSHandler?: { postMessage(text: string): void } } };
  Android?: { receiveMessage(text: string): void };
  FresnsJavascriptChannel?: { postMessage(text: string): void };
  ReactNativeWebView?: { postMessage(text: string): void };
  wx?: { miniProgram?: { postMessage(message: { data: string }): void; navigateBack(): void } };
}

const PlugyardBridge: Bridge = (() => {
  /** The origins of the clients that the server knows; it fills them in. */
  const CLIENT_ORIGINS: readonly string[] = [/*client-origins*/];

  const HANDLERS: readonly string[] = ["", "add", "remove", "reload"];

  function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
  }

  function text(value: unknown): string {
    return typeof value === "string" ? value : "";
  }

  /** Reads a message; null for what is none. */
  function parse(raw: unknown): BridgeMessage | null {
    if (typeof raw !== "string" || raw.length > 1_000_000) {
      return null;
    }
    let value: unknown;
    try {
      value = JSON.parse(raw);
    } catch {
      return null;
    }
    if (!isObject(value) || typeof value["code"] !== "number") {
      return null;
    }
    const action = isObject(value["action"]) ? value["action"] : {};
    const handler = text(action["dataHandler"]);
    return {
      code: value["code"],
      message: text(value["message"]),
      data: value["data"] ?? null,
      action: {
        postMessageKey: text(action["postMessageKey"]),
        windowClose: action["windowClose"] === true,
        reloadData: action["reloadData"] === true,
        redirectUrl: text(action["redirectUrl"]),
        dataHandler: (HANDLERS.includes(handler) ? handler : "") as DataHandler,
      },
    };
  }

  /** Where an address leads, if it may be followed from `from`: http or https, to the same host or an allowed origin,
   * and never from https to http. */
  function redirectTarget(
    url: string,
    from: string,
    allowed: readonly string[] = [],
  ): string | null {
    let target: URL;
    let here: URL;
    try {
      here = new URL(from);
      target = new URL(url, here);
    } catch {
      return null;
    }
    if (target.protocol !== "http:" && target.protocol !== "https:") {
      return null;
    }
    if (target.username !== "" || target.password !== "") {
      return null;
    }
    if (allowed.includes(target.origin)) {
      return target.href;
    }
    const weaker = here.protocol === "https:" && target.protocol === "http:";
    return target.hostname === here.hostname && !weaker ? target.href : null;
  }

  function send(action: Partial<BridgeAction>, options: SendOptions = {}): BridgeChannel {
    const message: BridgeMessage = {
      code: options.code ?? 0,
      message: options.message ?? "ok",
      data: options.data ?? null,
      action: {
        postMessageKey: action.postMessageKey ?? "",
        windowClose: action.windowClose ?? false,
        reloadData: action.reloadData ?? false,
        redirectUrl: action.redirectUrl ?? "",
        dataHandler: action.dataHandler ?? "",
      },
    };
    const string = JSON.stringify(message);
    const native = globalThis as unknown as NativeWindow;
    const ios = native.webkit?.messageHandlers?.iOSHandler;
    if (ios) {
      ios.postMessage(string);
      return "ios";
    }
    if (native.Android) {
      native.Android.receiveMessage(string);
      return "android";
    }
    if (native.FresnsJavascriptChannel) {
      native.FresnsJavascriptChannel.postMessage(string);
      return "flutter";
    }
    if (native.ReactNativeWebView) {
      native.ReactNativeWebView.postMessage(string);
      return "react-native";
    }
    const agent = typeof navigator === "undefined" ? "" : navigator.userAgent.toLowerCase();
    if (agent.includes("miniprogram") && native.wx?.miniProgram) {
      // The container hands messages over when the page is left.
      native.wx.miniProgram.postMessage({ data: string });
      native.wx.miniProgram.navigateBack();
      return "mini-program";
    }
    const given = options.origin ?? CLIENT_ORIGINS;
    const origins = typeof given === "string" ? [given] : given;
    const client = window.opener ?? (window.parent === window ? null : window.parent);
    if (!client || origins.length === 0 || origins.includes("*")) {
      return "none";
    }
    // Only the one whose origin it is gets it.
    for (const origin of origins) {
      client.postMessage(string, origin);
    }
    return "web";
  }

  function receive(options: ReceiveOptions): () => void {
    const origin = options.opaque === true ? "null" : new URL(options.url, location.href).origin;
    const handle = (event: MessageEvent): void => {
      const source = options.source;
      const opened = "contentWindow" in source ? source.contentWindow : source;
      if (event.origin !== origin || event.source === null || event.source !== opened) {
        return;
      }
      const message = parse(event.data);
      if (message === null) {
        return;
      }
      const { action } = message;
      const known = Object.hasOwn(options.keys, action.postMessageKey);
      if (message.code !== 0) {
        // A page that failed may not know its key; one that names another's says nothing to us.
        if (known || action.postMessageKey === "") {
          options.showMessage?.(message.message, message.code);
        }
        return;
      }
      if (!known) {
        return;
      }
      options.keys[action.postMessageKey]?.(message);
      if (action.reloadData) {
        options.reload?.();
      }
      if (action.windowClose) {
        options.close?.();
      }
      if (action.redirectUrl !== "") {
        const target = redirectTarget(
          action.redirectUrl,
          location.href,
          options.allowedRedirects,
        );
        if (target !== null) {
          (options.redirect ?? ((url: string) => location.assign(url)))(target);
        }
      }
    };
    window.addEventListener("message", handle);
    return () => window.removeEventListener("message", handle);
  }

  return { send, receive, parse, redirectTarget };
})();

(globalThis as unknown as { PlugyardBridge: Bridge }).PlugyardBridge = PlugyardBridge;
