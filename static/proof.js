// The proof that no robot asks, in a form's leaf [data-proof]. ALTCHA's widget does it; latchkey.js loads this file when
// such a leaf is there. Our Content-Security-Policy stays as it is: what the widget would do against it, it is given.

let loaded;

const load = ({ dataset }) => loaded ??= (async () => {
  // It writes its styles into the page, unless something by this name is there already.
  const style = document.createElement("link");
  Object.assign(style, { id: "altcha-css", rel: "stylesheet", href: dataset.style });
  document.head.append(style);
  await import(dataset.widget);
  // Its own workers start from blob: addresses.
  $altcha.algorithms.set("PBKDF2/SHA-256", () => new Worker(dataset.worker));
  const { label, verifying, verified, expired, error } = dataset;
  $altcha.i18n.set("here", { label, verifying, verified, expired, error, waitAlert: verifying });
})();

const widgetOf = (form) => form.querySelector("altcha-widget");

const tell = (leaf, text) => {
  const words = document.createElement("p");
  words.className = "hint";
  words.setAttribute("role", "alert");
  leaf.replaceChildren(words);
  words.textContent = text;
};

export const begin = async (leaf) => {
  const form = leaf.closest("form");
  const when = leaf.dataset.proof;
  // Without TLS a browser lends its arithmetic to this machine only.
  if (!isSecureContext) return tell(leaf, leaf.dataset.insecure);
  try {
    await load(leaf);
  } catch {
    loaded = undefined;
    return tell(leaf, leaf.dataset.away);
  }
  // Asked a second time meanwhile: that leaf has been replaced.
  if (!leaf.isConnected) return;
  // Spoken once, when the work begins. The widget's own words change without a sound.
  const status = document.createElement("p");
  status.className = "heard";
  status.setAttribute("role", "status");
  const widget = document.createElement("altcha-widget");
  const attributes = {
    name: "altcha",
    type: "native",
    language: "here",
    challenge: leaf.dataset.challenge,
    auto: { now: "onload", submit: "onsubmit" }[when] ?? "off",
    // No link to anybody, and no record of how the visitor moves.
    configuration: JSON.stringify({ hideFooter: true, hideLogo: true, humanInteractionSignature: false }),
  };
  for (const [name, value] of Object.entries(attributes)) widget.setAttribute(name, value);
  widget.addEventListener("statechange", ({ detail }) => {
    // When the server asked, its message has said so already.
    status.textContent = detail.state === "verifying" && when !== "now" ? leaf.dataset.verifying : "";
    if (detail.state === "verified" && when !== "submit") form.requestSubmit();
    // Ticked long before the form was sent: it is solved anew then.
    if (detail.state === "expired" && when === "submit") widget.reset();
  });
  leaf.replaceChildren(status, widget);
};

// Pressed again while it works: the form goes by itself in a moment.
document.addEventListener("submit", (event) => {
  if (widgetOf(event.target)?.getState?.() !== "verifying") return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

// A proof works once: what was sent with this one is answered.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const leaf = detail.elt.querySelector("[data-proof]");
  if (!leaf || detail.xhr.status === 428) return;
  if (leaf.dataset.proof === "submit") return widgetOf(leaf)?.reset?.();
  leaf.removeAttribute("data-proof");
  leaf.hidden = true;
  leaf.replaceChildren();
});
