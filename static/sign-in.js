// What the sign-in page keeps while a visitor is at it: the way that was chosen, and what was typed, through a reload
// and a change of language. Never a password or a code.
"use strict";

(() => {
  const $ = (selector) => document.querySelector(selector);
  const NAME = "sign-in";
  const YEAR = 365 * 86400;
  const KEPT = ["username", "mobile", "region"];

  // ---- Who is signed in, here or by now in another tab

  const named = () => {
    const user = $("#account")?.dataset.user;
    if (!user) return;
    // Whoever has come in leaves nothing behind.
    try {
      sessionStorage.removeItem(NAME);
    } catch {}
    for (const place of document.querySelectorAll("[data-name]")) {
      if (place.textContent !== user) place.textContent = user;
    }
  };
  new MutationObserver(named).observe(document.body, { childList: true, subtree: true });
  named();

  const ways = $(".sign-in .switch");
  if (!ways) return;
  const mobile = $("#mobile");

  // ---- What was typed: this tab's alone

  // A browser may refuse to keep anything.
  const draft = (() => {
    try {
      return JSON.parse(sessionStorage.getItem(NAME)) ?? {};
    } catch {
      return {};
    }
  })();
  const keep = (name, value) => {
    draft[name] = value;
    try {
      sessionStorage.setItem(NAME, JSON.stringify(draft));
    } catch {}
  };

  // ---- The way

  const choose = (way) => {
    const choice = $(`#by-${way}`);
    if (!choice) return;
    choice.checked = true;
    keep("way", way);
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `way=${way}; path=/; max-age=${YEAR}; samesite=lax${secure}`;
  };
  ways.addEventListener("change", ({ target }) => choose(target.value));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-way]");
    if (!link) return;
    event.preventDefault();
    choose(link.dataset.way);
    // A number is a name as well.
    const username = $("#username");
    username.value ||= mobile.value;
    (username.value ? $("#password") : username).focus();
  });

  // ---- The country: one that is typed or pasted counts, and is the one shown

  const country = () => {
    const digits = mobile.value.replace(/[^+\d]/g, "").replace(/^00/, "+");
    const own = digits.startsWith("+");
    if ($("#country")) $("#country").hidden = own;
    const region = $("#region");
    if (!region || !own) return;
    const matches = [...region.options].filter(({ dataset }) => dataset.code && digits.startsWith(dataset.code));
    // Several countries share a code: the one that was chosen stays.
    if (matches.length && !matches.includes(region.selectedOptions[0])) {
      region.value = matches[0].value;
      keep("region", region.value);
    }
  };

  document.addEventListener("input", ({ target }) => {
    if (target === mobile) country();
    if (KEPT.includes(target.id)) keep(target.id, target.value);
  });

  // ---- What the code's step needs is loaded when that step is near: most who come are not there yet

  const verify = $(".verify");
  // Milliseconds until a file that did not come is asked for again. Without it the form is sent all the same.
  const AGAIN = 5000;
  let loading;
  let loaded = false;
  const load = () => loading ??= import(verify.dataset.script).then(
    () => { loaded = true; },
    () => { setTimeout(() => { loading = undefined; }, AGAIN); },
  );
  const near = () => $("#delivery").dataset.step !== "start" && load();
  new MutationObserver(near).observe(document.body, { childList: true, subtree: true });
  near();
  $(".code-way").addEventListener("focusin", load);
  document.addEventListener("htmx:confirm", (event) => {
    if (loaded || !event.target.matches(".ask")) return;
    // It tells where the keyboard goes with the answer, so it is there before the question.
    event.preventDefault();
    load().then(() => event.detail.issueRequest(true));
  });

  // ---- As it was

  for (const name of KEPT) {
    const field = $(`#${name}`);
    if (field && !field.value && draft[name]) field.value = draft[name];
  }
  if (draft.way && !$(".message:not(:empty)")) $(`#by-${draft.way}`).checked = true;
  country();
})();
