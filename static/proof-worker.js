// The work of proof.js, off the page's thread. ALTCHA's widget starts several of these, and each takes every nth number:
// the one that makes the key which the challenge asks for is the proof. Its messages are the widget's, version 3.
"use strict";

const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

let stopped = false;

const solve = async ({ challenge, counterStart, counterStep, timeout }) => {
  const { nonce, salt, cost, keyLength, keyPrefix } = challenge.parameters;
  const pbkdf2 = { name: "PBKDF2", hash: "SHA-256", salt: bytes(salt), iterations: cost };
  const password = new Uint8Array([...bytes(nonce), 0, 0, 0, 0]);
  const number = new DataView(password.buffer, password.length - 4);
  const began = performance.now();
  for (let counter = counterStart; !stopped && performance.now() - began < timeout; counter += counterStep) {
    number.setUint32(0, counter);
    const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
    const derivedKey = hex(await crypto.subtle.deriveBits(pbkdf2, key, keyLength * 8));
    if (derivedKey.startsWith(keyPrefix)) return { counter, derivedKey, time: performance.now() - began };
  }
  return null;
};

addEventListener("message", async ({ data }) => {
  if (data.type === "abort") stopped = true;
  if (data.type !== "work") return;
  try {
    postMessage(await solve(data));
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
