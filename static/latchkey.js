// What the page cannot say in HTML and CSS alone. Everything here is a comfort: without it the forms
// are plain posts, and the server keeps every rule by itself.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const POLL_EVERY = 4000;

  // ---- The form's token: login in another tab has given this browser a new one, so it is read when it is used.

  const token = () => {
    const name = document.body.dataset.csrfCookie + "=";
    const pair = document.cookie.split("; ").find((cookie) => cookie.startsWith(name));
    return pair ? decodeURIComponent(pair.slice(name.length)) : "";
  };

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const fresh = token();
    if (detail.verb === "get" || !fresh) return;
    detail.headers["X-CSRFToken"] = fresh;
    detail.parameters.csrfmiddlewaretoken = fresh;
  });

  // Capturing, so that this comes before htmx: a waiting button sends nothing, and a plain post has a fresh token.
  document.addEventListener("submit", (event) => {
    if ($("button[aria-disabled=true]", event.target)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    const field = event.target.elements.namedItem("csrfmiddlewaretoken");
    if (field && token()) field.value = token();
  }, true);

  // ---- The socket. The server says "live"; only its absence must be noticed here.

  const connection = (state) => {
    const leaf = $("#connection");
    if (leaf) leaf.dataset.state = state;
  };
  const poll = () => {
    if ($("#connection")?.dataset.state !== "live") htmx.trigger("#poll", "poll");
  };

  // A killed server is back within seconds, so never wait a minute; the jitter keeps a crowd of tabs apart.
  htmx.config.wsReconnectDelay = (tries) => Math.min(8000, 500 * 2 ** tries) * (0.5 + Math.random() / 2);

  // These events bubble only from an element that is still in the page, so a socket that was replaced is not heard.
  document.addEventListener("htmx:wsConnecting", () => connection("connecting"));
  document.addEventListener("htmx:wsError", () => connection("offline"));
  document.addEventListener("htmx:wsClose", ({ target, detail }) => {
    connection("offline");
    // htmx comes back after a crash, not after a goodbye. A server that restarts in good order says goodbye too.
    if ([1006, 1011, 1012, 1013].includes(detail.event.code)) return;
    setTimeout(() => target.isConnected && detail.socketWrapper.reconnect(), 2000 + Math.random() * 2000);
  });

  setInterval(() => document.hidden || poll(), POLL_EVERY);
  document.addEventListener("visibilitychange", () => document.hidden || htmx.trigger("#poll", "poll"));
  // A page from the back button's cache may show somebody who has left.
  addEventListener("pageshow", (event) => event.persisted && location.reload());

  // ---- Leaves

  // A leaf that says the same again is left alone: no motion restarts and nothing is read out twice.
  // An error message is the exception: the same mistake deserves to be heard twice.
  let held = "";
  document.addEventListener("htmx:oobBeforeSwap", ({ target, detail }) => {
    const fresh = detail.fragment.firstElementChild;
    if (fresh?.isEqualNode(target) && !target.matches(".message, #live")) detail.shouldSwap = false;
    else if (target.contains(document.activeElement)) held = document.activeElement.id;
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    // A pushed header must not take the keyboard's place away.
    if (held && document.activeElement === document.body) document.getElementById(held)?.focus();
    held = "";
  });

  const countdown = () => {
    const leaf = $("#countdown");
    const button = leaf?.closest("button");
    if (!button) return;
    if (Number(leaf.dataset.seconds) > 0) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  };
  const phone = () => {
    const screen = $(".screen");
    if (screen) screen.scrollTop = screen.scrollHeight;
  };
  // Watching the page itself covers the reply, the push and the poll alike.
  new MutationObserver((changes) => {
    countdown();
    if (changes.some((change) => $("#phone-messages", change.target) || change.target.closest?.("#phone-messages"))) phone();
  }).observe(document.body, { childList: true, subtree: true });
  countdown();
  phone();

  // ---- Answers

  const blame = (form) => {
    const name = $(".message[data-field]", form)?.dataset.field;
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    const field = name && form.elements.namedItem(name);
    if (!field?.focus) return;
    field.setAttribute("aria-invalid", "true");
    field.focus();
  };
  document.querySelectorAll("form").forEach((form) => $(".message:not(:empty)", form) && blame(form));
  document.addEventListener("input", ({ target }) => target.removeAttribute("aria-invalid"));

  const trouble = (word) => {
    $("#trouble").textContent = word ? $("#trouble").dataset[word] : "";
  };
  document.addEventListener("htmx:beforeRequest", ({ detail }) => detail.elt.matches("form") && trouble(""));
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!detail.elt.matches("form")) return;
    const { status, responseText } = detail.xhr;
    // Every answer of ours brings leaves. One without is from somebody else: a proxy, or a page that has grown old.
    if (!status) trouble("away");
    else if (status >= 400 && !responseText.includes("hx-swap-oob")) trouble(status >= 500 ? "away" : "refused");
    else blame(detail.elt);
  });

  // ---- The password, shown or hidden

  const reveal = $("#reveal");
  const password = $("#password");
  if (reveal) {
    reveal.hidden = false;
    const show = (shown) => {
      password.type = shown ? "text" : "password";
      reveal.setAttribute("aria-pressed", shown);
    };
    reveal.addEventListener("click", () => show(password.type === "password"));
    // Sent as a password, so that no browser remembers it as text.
    password.form.addEventListener("submit", () => show(false), true);
  }

  // ---- From the test phone into the sign-in page, from tab to tab of this browser

  const channel = new BroadcastChannel("latchkey-phone");
  channel.addEventListener("message", ({ data }) => {
    const code = $("#code");
    if (!code || !/^\d{4,10}$/.test(data)) return;
    const tab = $("#by-code");
    if (tab) tab.checked = true;
    code.value = data;
    code.dispatchEvent(new Event("input", { bubbles: true }));
    code.focus();
    $("#filled").textContent = code.form.dataset.filled;
  });
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-code]");
    if (!button) return;
    channel.postMessage(button.dataset.code);
    // Refused without https or a focused page: the channel has done the work all the same.
    navigator.clipboard?.writeText(button.dataset.code).catch(() => {});
    $("#copied").textContent = $("#copied").dataset.done;
  });
})();
