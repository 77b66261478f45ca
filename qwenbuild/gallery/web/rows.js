// A long list of rows of known heights, of which only those near the screen are drawn. Knows no card.
"use strict";
(() => {
  const AHEAD = 0.8; // screens that are drawn above and below the one that is seen

  function rows(host, scroller = null) { // `scroller`: the element that scrolls, else the window does
    let list = [];
    let tops = [0];
    let offset = 0;
    let waiting = false;
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
      drawn.set(number, node);
      return node;
    }

    function refresh() {
      waiting = false;
      if (host.hidden || !list.length) return;
      const [top, tall] = [position(), height()];
      const first = at(Math.max(0, top - tall * AHEAD));
      const last = at(Math.max(0, top + tall * (1 + AHEAD)));
      for (const [number, node] of drawn) {
        if (number >= first && number <= last) continue;
        if (node.contains(document.activeElement)) continue; // who has the focus keeps it
        node.remove();
        drawn.delete(number);
      }
      for (let number = first; number <= last; number += 1) put(number);
      if (api.placed) api.placed(top);
    }

    const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(refresh); } };

    function measure() { offset = scroller ? host.offsetTop : host.getBoundingClientRect().top + scrollY; }

    function set(given) {
      for (const node of drawn.values()) node.remove();
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
      const held = old.contains(document.activeElement);
      old.remove();
      put(number);
      if (held && api.refocus) api.refocus(number);
    }

    function reveal(number, head = 0) { // scroll so far that a row is seen, below `head` pixels of what sticks to the top
      const [top, tall] = [position(), height()];
      const move = (y) => (scroller || window).scrollTo({ top: y + offset, behavior: "instant" });
      if (tops[number] < top + head) move(tops[number] - head);
      else if (tops[number + 1] > top + tall) move(tops[number + 1] - tall + 8);
      refresh();
      return put(number);
    }

    (scroller || window).addEventListener("scroll", later, { passive: true });
    const api = { set, redraw, reveal, refresh, later, measure, drawn, top: (number) => tops[number], at, get list() { return list; } };
    return api;
  }

  gallery.rows = rows;
})();
