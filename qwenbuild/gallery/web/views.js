// The views of the page, of which one is seen: cards, board, sheets, changes. Remembers which card the keyboard is at.
// Knows none of them.
"use strict";
(() => {
  const { byId, button, emit } = gallery;
  const views = new Map(); // name → words, host, show(), key(event), focus(card), cards(what has the focus) and perhaps absent()
  let name = "cards";
  let pointed = null;

  const seen = () => views.get(name);
  const present = () => [...views].filter(([, view]) => !view.absent || !view.absent());

  function show(wanted) {
    if (!views.has(wanted) || (views.get(wanted).absent && views.get(wanted).absent())) return;
    name = wanted;
    for (const [other, view] of views) view.host.hidden = other !== name;
    document.body.dataset.view = name;
    tabs();
    emit("view", name);
    seen().show();
    if (pointed) seen().focus(pointed);
  }

  function tabs() {
    byId("views").hidden = present().length < 2;
    byId("views").replaceChildren(...present().map(([each, view]) => button(view.words, () => show(each), { "aria-pressed": String(each === name), title: `${view.words} (l)` })));
  }

  function next() {
    const names = present().map(([each]) => each);
    show(names[(names.indexOf(name) + 1) % names.length]);
  }

  Object.assign(gallery, {
    views, show, next, seen, tabs,
    point: (card) => { pointed = card; },
    current: () => (pointed && gallery.card(pointed.id) ? gallery.card(pointed.id) : null),
    focus: (card) => seen().focus(card),
    isSeen: (which) => name === which,
  });
})();
