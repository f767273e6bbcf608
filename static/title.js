// A tab in the background says in its title what has happened in it: where the code is, or that somebody has signed in.
"use strict";

(() => {
  const $ = (selector) => document.querySelector(selector);
  const title = document.title;
  const who = () => $("#account")?.dataset.user ?? "";
  const before = who();

  const tell = () => {
    const cameIn = who() && who() !== before;
    const news = cameIn ? document.body.dataset.signedIn : $("#delivery .fact")?.textContent.trim();
    const wanted = news ? `${news} · ${title}` : title;
    if (document.title !== wanted) document.title = wanted;
  };
  new MutationObserver(tell).observe(document.body, { childList: true, subtree: true });
  tell();
})();
