// The one field of the code: six digits, however they come, are sent by themselves, once. And where the keyboard is in
// each step. Comfort, all of it: without this file both forms are plain posts, and the server keeps every rule.
"use strict";

(() => {
  const $ = (selector) => document.querySelector(selector);
  const code = $("#code");
  if (!code) return;
  const verify = code.form;
  const ask = $(".ask");
  const withdraw = $(".withdraw");
  const send = $(".ask button");
  const mobile = $("#mobile");
  const DIGITS = 6;
  // `start`, a number is asked for; `code`, an SMS may still come, or has come; `end`, none will.
  const shown = () => $("#delivery .number")?.textContent ?? "";
  const step = () => $("#delivery").dataset.step;

  // ---- What people copy: "123 456", "123-456", full-width digits, a whole message

  // Arabic digits as well. Those of other scripts the server reads.
  const plain = (text) =>
    text.normalize("NFKC").replace(/\p{Cf}/gu, "").replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (digit) => digit.charCodeAt() & 15);
  // Some keyboards fill the code in twice.
  const bare = (text) => plain(text).replace(/[\s\p{Pd}\u2212]/gu, "").replace(/^(\d{6})\1$/, "$1");
  // Six digits in one piece count before six with gaps. Two different codes are none.
  const found = (text) => {
    for (const pieces of [/\d+/g, /\d(?:[\s\p{Pd}\u2212]?\d)*/gu]) {
      const codes = new Set((plain(text).match(pieces) ?? []).map(bare).filter(({ length }) => length === DIGITS));
      if (codes.size) return codes.size === 1 ? [...codes][0] : "";
    }
    return "";
  };

  // ---- Sent once

  // The digits that went last, those that the server has called wrong, and whether an answer is awaited.
  let sent = "";
  let wrong = "";
  let busy = false;
  let length = code.value.length;

  const signIn = () => {
    if (/^\d{6}$/.test(code.value) && !busy && code.value !== sent) verify.requestSubmit();
  };
  const forget = () => {
    sent = wrong = "";
    length = 0;
    // Written for nothing, it would cost a layout of the page.
    if (code.value) code.value = "";
    const message = $("#verify-message");
    message.textContent = message.dataset.field = "";
    code.removeAttribute("aria-invalid");
  };
  const take = (digits) => {
    if (!digits) return;
    code.value = digits;
    // For whoever listens: it is no error any more.
    code.dispatchEvent(new Event("input", { bubbles: true }));
    code.setSelectionRange(DIGITS, DIGITS);
    signIn();
  };

  const tidy = (event) => {
    if (event.isComposing) return;
    const raw = code.value;
    const caret = code.selectionStart;
    const atOnce = event.data?.length > 1 || raw.length - length > 1;
    const value = (atOnce && found(raw)) || bare(raw);
    if (value !== raw) {
      code.value = value;
      const place = caret === raw.length ? value.length : bare(raw.slice(0, caret)).length;
      code.setSelectionRange(place, place);
    }
    length = value.length;
    // Somebody who corrects or deletes a digit in the middle is not done yet. A script that fills in decides for itself.
    const added = !event.inputType || event.inputType.startsWith("insert");
    if (event.isTrusted && added && (atOnce || caret === raw.length)) signIn();
  };
  code.addEventListener("input", tidy);
  code.addEventListener("compositionend", tidy);
  code.addEventListener("paste", (event) => {
    const digits = found(event.clipboardData.getData("text"));
    if (!digits) return;
    event.preventDefault();
    take(digits);
  });

  // The keyboard goes to the field as soon as that is shown: by the answer, or by a push. When no code will come, to what
  // asks for another. Nobody who is somewhere else already is fetched back, and no page where nobody has asked.
  let asked = false;
  let expected = false;
  let before = step();
  const isFree = () => [document.body, mobile, send].includes(document.activeElement);
  const receive = () => {
    if (!expected || !code.getClientRects().length) return;
    expected = false;
    if (isFree()) code.focus();
  };
  const follow = () => {
    const now = step();
    if (now === before) return;
    before = now;
    if (now !== "end") return;
    const { state, reason } = $("#delivery").dataset;
    // A code that is dead is of no use. After a failure one may come all the same, and what was typed stays.
    const typing = code.value && code.value !== wrong;
    if (state === "failed" && typing) return;
    if (document.activeElement !== code && !(asked && isFree())) return;
    forget();
    (state === "failed" && reason === "number" ? mobile : send).focus();
  };

  // Before htmx hears of it.
  document.addEventListener("submit", (event) => {
    if (event.target === withdraw) {
      // What this page shows now: a newer request, which it has not heard of, is not taken back.
      withdraw.elements.number.value = shown();
    }
    // Where that number alone is shown, it is the one that is meant, whatever this page was asked for earlier.
    if (event.target === ask && shown()) {
      ask.elements.number.value = shown();
      ask.elements.same.value = step() === "code" && !mobile.getClientRects().length ? "on" : "";
    }
    if (event.target !== verify) return;
    if (busy || (wrong && code.value === wrong)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!busy) code.select();
    } else sent = code.value;
  }, true);
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (detail.elt === verify) busy = true;
    // The next request's SMS is another offer. A push may tell of it before the answer does.
    if (detail.elt === ask) hangUp();
  });

  document.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr } }) => {
    if (elt === verify) {
      // Signed in: the next page is on its way, and nothing more goes from this one.
      busy = xhr.status === 200;
      if (busy) return hangUp();
      // What was not looked at may be sent again as it is.
      wrong = xhr.status === 422 ? sent : "";
      sent = wrong;
      if (wrong && code.value === wrong && document.activeElement === code) code.select();
    }
    if (elt === ask && xhr.status === 202) {
      forget();
      asked = expected = true;
      receive();
    }
    if (elt === withdraw && xhr.status === 200 && step() === "start") {
      asked = expected = false;
      forget();
      mobile.focus();
      mobile.select();
    }
  });

  // ---- Straight from the SMS, where a browser offers that (WebOTP). One offer for each request: no is no.

  let offer = null;
  const hangUp = () => {
    offer?.abort();
    offer = null;
  };
  const listen = () => {
    if (step() !== "code") return hangUp();
    if (offer || document.hidden || !("OTPCredential" in window)) return;
    const mine = offer = new AbortController();
    navigator.credentials.get({ otp: { transport: ["sms"] }, signal: mine.signal }).then(
      (message) => offer === mine && take(found(message?.code ?? "")),
      () => {},
    );
  };
  new MutationObserver(() => {
    listen();
    receive();
    follow();
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", hangUp);
  listen();
  // Typed or filled in before this file was here.
  signIn();
})();
