// What HTML and CSS cannot say. All of it is comfort: without it the forms are plain posts, and the
// server keeps every rule by itself.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  // Milliseconds between two polls while the socket is down, and at most when the server does not answer them.
  const POLL = 4000;
  const POLL_MOST = 20000;
  // The server speaks at least every 15 seconds (accounts/live/heartbeat.py). After this silence the socket is dead.
  const SILENCE = 24000;
  // Spread, so that a crowd of tabs does not come at once. A page that nobody looks at leaves the server to others.
  const spread = (ms) => ms * (0.75 + Math.random() / 2) * (document.hidden ? 4 : 1);

  // ---- The token: a login in another tab renews it, so it is read when it is used.

  // Two cookies of this name: one is a sibling site's, for the whole domain, and nobody can tell which. The form's own
  // token was made for the one that Django reads.
  const token = () => {
    const name = document.body.dataset.csrfCookie + "=";
    const pairs = document.cookie.split("; ").filter((cookie) => cookie.startsWith(name));
    return pairs.length === 1 ? decodeURIComponent(pairs[0].slice(name.length)) : "";
  };

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const fresh = token();
    if (detail.verb === "get" || !fresh) return;
    detail.headers["X-CSRFToken"] = fresh;
    detail.parameters.csrfmiddlewaretoken = fresh;
  });

  // Before htmx hears of it: a waiting button sends nothing, and a plain post has a fresh token.
  document.addEventListener("submit", (event) => {
    if ($("button[aria-disabled=true]", event.target)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    const field = event.target.elements.namedItem("csrfmiddlewaretoken");
    if (field && token()) field.value = token();
  }, true);

  // ---- The socket: the server says "live", its absence is noticed here.

  let heard = Date.now();
  const isLive = () => $("#connection")?.dataset.state === "live";
  const connection = (state) => {
    const leaf = $("#connection");
    // Lost stays lost until the server speaks: each try to come back would make the word flicker.
    if (leaf && !(state === "connecting" && leaf.dataset.state === "offline")) leaf.dataset.state = state;
  };

  // A killed server is back within seconds.
  htmx.config.wsReconnectDelay = (tries) => spread(Math.min(6400, 500 * 2 ** tries));

  // They bubble only from an element in the page, so a socket that was replaced is not heard.
  document.addEventListener("htmx:wsConnecting", () => {
    heard = Date.now();
    connection("connecting");
  });
  document.addEventListener("htmx:wsBeforeMessage", () => {
    heard = Date.now();
    answered();
  });
  document.addEventListener("htmx:wsError", () => connection("offline"));
  document.addEventListener("htmx:wsClose", ({ target, detail }) => {
    connection("offline");
    // htmx comes back after a crash, not after a goodbye, and a server that restarts says goodbye.
    if ([1006, 1011, 1012, 1013].includes(detail.event.code)) return;
    setTimeout(() => target.isConnected && detail.socketWrapper.reconnect(), spread(3000));
  });

  // A connection that died without a word (sleep, another network) stays open for the browser. An element of its own for
  // the next one: htmx closes the old one and does not come back for it.
  const hangUp = () => {
    heard = Date.now();
    connection("offline");
    poll();
    htmx.swap("#live", $("#live").outerHTML, { swapStyle: "outerHTML" });
  };

  // ---- Asking, while nobody tells

  let pause = POLL;
  let due = Date.now() + spread(pause);
  const poll = () => {
    due = Date.now() + spread(pause);
    htmx.trigger("#poll", "poll");
  };
  document.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr, successful } }) => {
    if (elt.id !== "poll") return;
    pause = successful ? POLL : Math.min(POLL_MOST, 2 * pause);
    if (successful) answered();
    // How long a busy server wants to be left alone, it says itself.
    due = Date.now() + spread(Math.max(pause, 1000 * (xhr.status === 503 && xhr.getResponseHeader("Retry-After"))));
  });
  document.addEventListener("visibilitychange", () => document.hidden || poll());
  // A page from the back button's cache may show somebody who has left, and its socket is gone.
  addEventListener("pageshow", ({ persisted }) => persisted && ($("#account")?.dataset.user ? location.reload() : hangUp()));

  // The server owns the countdown and sends each number. When one is overdue the seconds go on here: no number stands
  // still, and the button comes back.
  const OVERDUE = 2500;
  let counted = null;
  let came = 0;
  let end = 0;
  const passSecond = () => {
    const leaf = $("#countdown");
    const shown = Number(leaf?.dataset.seconds);
    if (!shown) return;
    if (leaf !== counted) {
      came = Date.now();
      end = came + 1000 * shown;
    }
    counted = leaf;
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    if (left >= shown || (isLive() && Date.now() - came < OVERDUE)) return;
    leaf.dataset.seconds = left;
    leaf.textContent = left ? leaf.textContent.replace(/\d+/, left) : "";
  };

  setInterval(() => {
    passSecond();
    if (Date.now() - heard > SILENCE) hangUp();
    else if (!isLive() && !document.hidden && Date.now() >= due) poll();
  }, 1000);

  // ---- Leaves

  // A push may overtake an answer that was written before it: what the socket has said of a leaf since the question
  // was asked is newer than the answer, so that leaf of the answer is dropped.
  const pushes = new Map();
  const asked = new WeakMap();
  let known = null;
  document.addEventListener("htmx:beforeRequest", ({ detail }) => asked.set(detail.xhr, new Map(pushes)));
  document.addEventListener("htmx:beforeSwap", ({ detail }) => { known = asked.get(detail.xhr); });
  document.addEventListener("htmx:wsBeforeMessage", () => { known = null; });
  const overtaken = ({ id }) => {
    if (!known) pushes.set(id, (pushes.get(id) ?? 0) + 1);
    return known && id !== "live" && known.get(id) !== pushes.get(id);
  };

  // A leaf that says the same again is left alone: no motion restarts, nothing is read out twice.
  // But the same mistake made twice is told twice.
  let held = "";
  document.addEventListener("htmx:oobBeforeSwap", ({ target, detail }) => {
    const fresh = detail.fragment.firstElementChild;
    // Minutes that pass inside of a leaf do not make it another one: they come after it, as a leaf of their own.
    const passed = $("#life", target);
    if (fresh && passed) $("#life", fresh)?.replaceWith(passed.cloneNode(true));
    const same = fresh?.isEqualNode(target) && !target.matches(".message, #live");
    if (overtaken(target) || same) detail.shouldSwap = false;
    else if (target.contains(document.activeElement)) held = document.activeElement.id;
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    // A push must not take the keyboard's place away.
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
  // Watching the page itself covers the reply, the push and the poll alike.
  new MutationObserver(countdown).observe(document.body, { childList: true, subtree: true });
  countdown();

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

  // Milliseconds that a sentence stands at least.
  const READ = 6000;
  let troubled = "";
  let since = 0;
  const trouble = (word) => {
    troubled = word;
    since = Date.now();
    $("#trouble").textContent = word ? $("#trouble").dataset[word] : "";
  };
  // The server is there again: that it was not is no longer true.
  const answered = () => troubled === "away" && Date.now() - since > READ && trouble("");
  document.addEventListener("htmx:beforeRequest", ({ detail }) => detail.elt.matches("form") && trouble(""));
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!detail.elt.matches("form")) return;
    const { status, responseText } = detail.xhr;
    // Every refusal of ours brings leaves. One without is a proxy's, or a broken server's.
    if (!status) trouble("away");
    else if (status >= 400 && !responseText.includes("hx-swap-oob")) trouble(status >= 500 ? "away" : "refused");
    else blame(detail.elt);
  });

  // A token that had grown old: the refusal has brought a fresh one, and the same form goes once more, as it stands.
  const again = new WeakSet();
  document.addEventListener("htmx:afterRequest", ({ detail: { elt: form, xhr } }) => {
    if (xhr.getResponseHeader("X-Token") !== "fresh") return again.delete(form);
    // The refusal has just brought the cookie.
    if (!document.cookie.includes(document.body.dataset.csrfCookie + "=")) return trouble("cookies");
    if (again.has(form)) return trouble("refused");
    again.add(form);
    // Behind htmx's own end of this request.
    setTimeout(() => form.requestSubmit());
  });

  // A sentence that speaks of a wait is true until the wait is over. Timed once: a leaf that is replaced is a new one.
  const timed = new WeakSet();
  const waits = () => {
    for (const leaf of document.querySelectorAll(".message[data-seconds]")) {
      if (timed.has(leaf)) continue;
      timed.add(leaf);
      setTimeout(() => {
        leaf.textContent = leaf.dataset.then;
        leaf.classList.add("calm");
      }, leaf.dataset.seconds * 1000);
    }
  };
  new MutationObserver(waits).observe(document.body, { childList: true, subtree: true });
  waits();

  // ---- The proof that no robot asks: its script comes when the server wants one

  const prove = () => {
    for (const leaf of document.querySelectorAll("[data-proof]:not([data-begun])")) {
      leaf.dataset.begun = "";
      import(leaf.dataset.script).then(({ begin }) => begin(leaf), () => {
        leaf.setAttribute("role", "alert");
        leaf.textContent = leaf.dataset.away;
      });
    }
  };
  new MutationObserver(prove).observe(document.body, { childList: true, subtree: true });
  prove();

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
})();
