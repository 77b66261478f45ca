// Two pictures of an entry against each other: side by side, under a slider, blinking, or what differs. Knows no server.
"use strict";
(() => {
  const { el, button, calm, pairs, stages } = gallery;
  const HOWS = { slider: "Slider", side: "Side by side", blink: "Blink", difference: "Difference" };
  const BLINK_MS = 700;
  let timer = 0;

  function choice(view, all, which, redraw) {
    const other = which === "one" ? "other" : "one";
    return el("label", {}, which === "one" ? "Left " : "Right ", el("select", { on: { change: (event) => { view.pair[which] = all[Number(event.target.value)]; if (view.pair.one === view.pair.other) view.pair[other] = all.find((each) => each !== view.pair[which]); redraw(); } } },
      all.map((each, number) => el("option", { value: number, selected: each === view.pair[which] }, each.name))));
  }

  function settle(view) { // what is compared: what was chosen, where it is still there
    const all = pairs.comparables(view.card);
    const [one, other] = pairs.first(view.card, view.number);
    const again = (old, fallback) => (old && all.find((each) => each.digest === old.digest && each.name === old.name)) || all.find((each) => fallback && each.digest === fallback.digest && each.name === fallback.name);
    const kept = view.pair && view.pair.id === view.card.id ? view.pair : {};
    view.pair = { id: view.card.id, one: again(kept.one, one), other: again(kept.other, other) };
    return all;
  }

  function share(view) {
    const said = el("span", { class: "share", role: "status" }, "");
    const { one, other } = view.pair;
    pairs.share(one.digest, other.digest).then((value) => { said.textContent = pairs.percent(value); });
    return said;
  }

  const shot = (each, name, alt = each.name) => el("img", { class: name, src: stages.full(each.digest), alt });
  const side = (name, words) => el("span", { class: "side " + name }, words);

  function stack(view, room, ...inside) {
    const [wide, high] = view.pair.other.size || view.pair.one.size || gallery.size(view.card, null);
    const by = Math.min(room[0] / wide, (room[1] - 52) / high, wide < 400 ? 3 : 1);
    return el("div", { class: "pair ground " + view.how, css: { width: `${Math.floor(wide * by)}px`, "aspect-ratio": `${wide} / ${high}`, "--at": `${view.at}%` } }, inside);
  }

  function slider(view, room) {
    const { one, other } = view.pair;
    const range = el("input", { type: "range", min: 0, max: 100, step: 0.5, value: view.at, "aria-label": `${one.name} on the left, ${other.name} on the right` });
    const made = stack(view, room, shot(one, "was"), shot(other, "is"), el("span", { class: "line" }), side("left", one.name), side("right", other.name), range);
    range.addEventListener("input", () => { view.at = Number(range.value); made.style.setProperty("--at", `${view.at}%`); });
    return made;
  }

  function blink(view, room) {
    const { one, other } = view.pair;
    const words = side("left", one.name);
    const turn = () => { const second = made.classList.toggle("second"); words.textContent = second ? other.name : one.name; };
    const made = stack(view, room, shot(one, "was"), shot(other, "is"), words, button("", turn, { class: "turner", "aria-label": "Show the other one" }));
    clearInterval(timer);
    if (!calm()) timer = setInterval(() => { if (made.isConnected) turn(); else clearInterval(timer); }, BLINK_MS);
    return made;
  }

  function sides(view, room) {
    return el("div", { class: "sides" }, [view.pair.one, view.pair.other].map((each) => {
      const size = each.size || gallery.size(view.card, null);
      return el("figure", {}, stages.picture(each.digest, size, each.name, "fit", [room[0] / 2 - 16, room[1] - 90]), el("figcaption", {}, each.name));
    }));
  }

  const difference = (view, room) => stack(view, room, shot(view.pair.one, "was"), shot(view.pair.other, "is", ""));
  const DRAW = { slider, side: sides, blink, difference };

  function compare(view, room, redraw) {
    const all = settle(view);
    if (!view.pair.one || !view.pair.other) return el("p", { class: "empty" }, "There is nothing to compare it with.");
    const hows = el("span", { class: "modes", role: "group", "aria-label": "How" }, Object.entries(HOWS).map(([how, words]) => button(words, () => { view.how = how; redraw(); }, { "aria-pressed": String(view.how === how), title: `${words} (k)` })));
    return el("div", { class: "compare" }, el("div", { class: "between" }, choice(view, all, "one", redraw), choice(view, all, "other", redraw), hows, share(view)), el("div", { class: "canvas" }, DRAW[view.how](view, room)));
  }

  const next = (how) => { const names = Object.keys(HOWS); return names[(names.indexOf(how) + 1) % names.length]; };
  gallery.compare = { draw: compare, next };
})();
