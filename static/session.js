// Who is signed in can change while a page is open: in another tab, or while this one slept. The header's leaf says so, by
// push or poll. This file tells the page's own scripts, and puts what is marked data-private out of sight as soon as
// nobody, or somebody else, is signed in. A page that is private as a whole then leaves.
"use strict";

(() => {
  // Milliseconds that a form of this page may take to lead elsewhere.
  const LEADS = 10000;
  const account = () => document.getElementById("account")?.dataset.user;
  // Whom this page was made for, empty for nobody; and who is signed in as far as it has heard.
  const owner = account();
  let user = owner;
  let isStrange = false;
  let leads = 0;

  // A sheet of our own: it also covers what is pushed later, and no rule of the page's outweighs it.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("[data-private]{display:none!important}");
  const cover = (covered) => {
    const others = document.adoptedStyleSheets.filter((one) => one !== sheet);
    document.adoptedStyleSheets = covered ? [...others, sheet] : others;
  };

  const settle = () => {
    cover(isStrange);
    if (!isStrange || leads || !document.body.matches("[data-private]")) return;
    // Not a reload: it would send a form again. And no way back to the page that is covered.
    const here = location.pathname + location.search;
    const next = encodeURIComponent(here + location.hash).replaceAll("%2F", "/");
    location.replace(user ? here : `/login/?next=${next}`);
  };

  new MutationObserver(() => {
    const now = account();
    if (now === undefined || now === user) return;
    user = now;
    const told = new CustomEvent("latchkey:session", { cancelable: true, detail: { user } });
    isStrange = document.dispatchEvent(told) && owner && user !== owner;
    settle();
  }).observe(document.body, { childList: true, subtree: true });

  // A form that signs out, or in, leads to the page that comes next, although the push may be faster: the way is its.
  const mayLead = () => {
    clearTimeout(leads);
    leads = setTimeout(staysHere, LEADS);
  };
  const staysHere = () => {
    clearTimeout(leads);
    leads = 0;
    settle();
  };
  // htmx sends its own forms, and prevents the browser from doing so.
  document.addEventListener("submit", (event) => event.defaultPrevented || mayLead());
  document.addEventListener("htmx:beforeRequest", ({ detail }) => detail.elt.matches("form") && mayLead());
  document.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr } }) => {
    if (elt.matches("form") && !xhr.getResponseHeader("HX-Redirect")) staysHere();
  });

  // The back button's cache may bring it back when its visitor has left: latchkey.js then loads it again.
  addEventListener("pagehide", () => owner && cover(true));
})();
