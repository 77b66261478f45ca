// What every other script of the page stands on: the data, elements, addresses of pictures, and news between scripts.
// Knows no card, no view and no server.
"use strict";
const gallery = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const listeners = new Map();

  function el(tag, props = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "class") made.className = value;
      else if (name === "on") for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
      else if (name === "css") for (const [key, set] of Object.entries(value)) made.style.setProperty(key, set);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  }

  const button = (words, call, props = {}) => el("button", { type: "button", on: { click: call }, ...props }, words);

  // ------------------------------------------------------------ addresses

  const isDigest = (text) => /^[0-9a-f]{64}$/.test(text);
  const isName = (text) => /^[0-9a-f]{64}\.[a-z]{3,4}$/.test(text);

  const address = (kind, digest) => (isDigest(digest) && data[kind] ? data[kind].replace("*", digest) : "");

  function whole(digest) { // the very bytes: all of them in the review, small files on a page from disk
    if (!isDigest(digest) || !data.whole) return "";
    if (data.live) return data.whole.replace("*", digest);
    const name = (data.exact || {})[digest] || "";
    return isName(name) ? data.whole.replace("*", name) : "";
  }

  function source(digest, size, width) { // the smallest file that is as sharp as `width` CSS pixels can show
    const needed = width * devicePixelRatio;
    const own = size ? size[0] : Infinity;
    if (own <= 512 && whole(digest)) return whole(digest);
    if (needed <= 120) return address("tiny", digest);
    if (needed <= 500 || own <= 480) return address("small", digest);
    return (data.live && whole(digest)) || address("large", digest);
  }

  // ------------------------------------------------------------ news, and what a browser remembers

  const on = (name, call) => { if (!listeners.has(name)) listeners.set(name, []); listeners.get(name).push(call); };
  const emit = (name, ...said) => { for (const call of listeners.get(name) || []) call(...said); };
  const remembered = {
    get(name) { try { return localStorage.getItem("qwenbuild-" + name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem("qwenbuild-" + name, value); } catch { /* a page from disk may have none */ } },
  };
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const count = (number, one, many = one + "s") => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

  return { data, el, button, byId: (id) => document.getElementById(id), address, whole, source, isDigest, on, emit, remembered, calm, count };
})();
