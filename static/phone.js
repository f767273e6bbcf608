// The dev phone hands its codes to the sign-in page in another tab of this browser. Both pages load this
// file, and only while there is a dev phone.
"use strict";

(() => {
  const channel = new BroadcastChannel("latchkey-phone");
  const screen = document.querySelector(".screen");
  const code = document.querySelector("#code");

  if (screen) {
    const newest = () => {
      screen.scrollTop = screen.scrollHeight;
    };
    new MutationObserver(newest).observe(screen, { childList: true, subtree: true });
    newest();

    screen.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-code]");
      if (!button) return;
      channel.postMessage(button.dataset.code);
      // Refused without https or a focused page: the channel has done the work all the same.
      navigator.clipboard?.writeText(button.dataset.code).catch(() => {});
      const copied = document.querySelector("#copied");
      copied.textContent = copied.dataset.done;
    });
  }

  if (code) {
    const filled = document.querySelector("#filled");
    code.addEventListener("input", () => {
      filled.textContent = "";
    });
    channel.addEventListener("message", ({ data }) => {
      if (!/^\d{4,10}$/.test(data)) return;
      document.querySelector("#by-code").checked = true;
      code.value = data;
      code.dispatchEvent(new Event("input", { bubbles: true }));
      code.focus();
      filled.textContent = code.form.dataset.filled;
    });
  }
})();
