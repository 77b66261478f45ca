// A long list of rows of known heights, of which only those near the screen are drawn. Knows no card.
"use strict";
(() => {
  const AHEAD = 0.8;        // screens that are drawn above and below the one that is seen
  const BUDGET_MS = 6;      // of a frame, for rows that are not drawn yet
  const MOVING = 2;         // pictures that begin to load in one frame while something moves
  const RESTING = 40;       // and while nothing does
  const FAST = 4;           // pixels a millisecond: so fast nothing can be made out, and nothing is loaded
  const REST_MS = 90;       // after which a movement has ended

  // ------------------------------------------------------------ pictures, some in each frame

  let waiting = [];
  let pumping = false;
  let moved = 0; // when something moved last

  function pump() {
    pumping = false;
    const most = performance.now() - moved < REST_MS ? MOVING : RESTING;
    let number = 0;
    while (waiting.length && number < most) {
      const [image, address] = waiting.shift();
      if (!image.isConnected) continue;
      image.src = address;
      number += 1;
    }
    if (waiting.length) again();
  }

  const again = () => { if (!pumping) { pumping = true; requestAnimationFrame(pump); } };

  function load(node) {
    for (const image of node.querySelectorAll("img[data-src]")) {
      waiting.push([image, image.dataset.src]);
      image.removeAttribute("data-src");
    }
    if (waiting.length > 2000) waiting = waiting.filter(([image]) => image.isConnected);
    if (waiting.length) again();
  }

  function rows(host, scroller = null, beside = null) { // `scroller`: the element that scrolls, else the window; `beside` holds what stays at a side
    let list = [];
    let tops = [0];
    let offset = 0;
    let planned = false;
    let [last, moment] = [0, 0]; // where it stood, and when
    let resting = 0;
    const drawn = new Map(); // number of a row → its node

    const height = () => (scroller ? scroller.clientHeight : innerHeight);
    const position = () => (scroller ? scroller.scrollTop : scrollY) - offset;

    function at(y) { // the last row that begins at or above y
      let [low, high] = [0, list.length];
      while (low < high - 1) { const middle = (low + high) >> 1; if (tops[middle] <= y) low = middle; else high = middle; }
      return low;
    }

    function put(number) {
      if (drawn.has(number)) return drawn.get(number);
      const node = list[number].draw();
      node.style.setProperty("position", "absolute");
      node.style.setProperty("top", `${tops[number]}px`);
      const after = [...drawn.keys()].filter((other) => other > number).sort((a, b) => a - b)[0];
      host.insertBefore(node, after === undefined ? null : drawn.get(after)); // in the order in which they are read
      if (node.beside) { node.beside.style.setProperty("top", `${tops[number]}px`); beside.append(node.beside); }
      drawn.set(number, node);
      return node;
    }

    const holds = (node) => node.contains(document.activeElement) || Boolean(node.beside && node.beside.contains(document.activeElement));

    function drop(node) {
      node.remove();
      if (node.beside) node.beside.remove();
    }

    function refresh() {
      planned = false;
      if (host.hidden || !list.length) return;
      const [top, tall, now] = [position(), height(), performance.now()];
      const fast = Math.abs(top - last) / Math.max(now - moment, 1) > FAST;
      if (top !== last) moved = now;
      [last, moment] = [top, now];
      const [first, end] = [at(Math.max(0, top - tall * AHEAD)), at(Math.max(0, top + tall * (1 + AHEAD)))];
      for (const [number, node] of drawn) {
        if (number >= first && number <= end) continue;
        if (holds(node)) continue; // who has the focus keeps it
        drop(node);
        drawn.delete(number);
      }
      const [seen, below] = [at(Math.max(0, top)), at(Math.max(0, top + tall))];
      const order = [];
      for (let number = seen; number <= below; number += 1) order.push(number);
      for (let number = below + 1; number <= end; number += 1) order.push(number);
      for (let number = seen - 1; number >= first; number -= 1) order.push(number);
      let left = false;
      for (const number of order) {
        if (drawn.has(number)) continue;
        if (performance.now() - now > BUDGET_MS) { left = true; break; }
        put(number);
      }
      if (!fast) for (const number of order) if (drawn.has(number)) load(drawn.get(number));
      clearTimeout(resting);
      if (left) later();
      else if (fast) resting = setTimeout(later, REST_MS);
      if (api.placed) api.placed(top);
    }

    const later = () => { if (!planned) { planned = true; requestAnimationFrame(refresh); } };

    function measure() { offset = scroller ? host.offsetTop : host.getBoundingClientRect().top + scrollY; }

    function set(given) {
      for (const node of drawn.values()) drop(node);
      drawn.clear();
      list = given;
      tops = new Array(given.length + 1);
      tops[0] = 0;
      for (let number = 0; number < given.length; number += 1) tops[number + 1] = tops[number] + given[number].height;
      host.style.setProperty("height", `${tops[given.length]}px`);
      measure();
      refresh();
    }

    function redraw(number) {
      const old = drawn.get(number);
      if (!old) return;
      drawn.delete(number);
      const held = holds(old);
      drop(old);
      load(put(number));
      if (held && api.refocus) api.refocus(number);
    }

    function reveal(number, head = 0) { // scroll so far that a row is seen, below `head` pixels of what sticks to the top
      const [top, tall] = [position(), height()];
      const move = (y) => (scroller || window).scrollTo({ top: y + offset, behavior: "instant" });
      if (tops[number] < top + head) move(tops[number] - head);
      else if (tops[number + 1] > top + tall) move(tops[number + 1] - tall + 8);
      refresh();
      const node = put(number);
      load(node);
      return node;
    }

    (scroller || window).addEventListener("scroll", later, { passive: true });
    const api = { set, redraw, reveal, refresh, later, measure, drawn, top: (number) => tops[number], at, get list() { return list; } };
    return api;
  }

  gallery.rows = rows;
  gallery.load = load;
})();
