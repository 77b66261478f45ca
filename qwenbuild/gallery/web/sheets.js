// The atlases: each sheet as it ships, whose frames light up and lead to their entries. Knows no server.
"use strict";
(() => {
  const { data, el, byId, whole, address, count, on } = gallery;
  const host = byId("sheets");
  let owners = new Map(); // path of a file → its card

  function frame(sheet, name, box) {
    const card = owners.get(name);
    const [wide, high] = sheet.size;
    const percent = (value, all) => `${(100 * value) / all}%`;
    const made = el("button", {
      type: "button", class: "sprite", "aria-label": `${name}, ${box[2]} by ${box[3]} pixels${card ? "" : ", of no entry that is shown"}`, title: name, disabled: !card,
      css: { left: percent(box[0], wide), top: percent(box[1], high), width: percent(box[2], wide), height: percent(box[3], high) },
      on: { click: () => gallery.open(card, { file: card.files.findIndex((file) => file.path === name) }), focus: () => { if (card) gallery.point(card); } },
    });
    made.gallery = card;
    return made;
  }

  function picture(sheet) {
    const from = whole(sheet.digest) || address("large", sheet.digest);
    if (!from || !sheet.size) return el("p", { class: "quiet" }, sheet.state === "missing" ? "The sheet is missing: a build packs it." : "The sheet cannot be shown.");
    const said = el("p", { class: "sheet-words", role: "status" }, "\u00a0");
    const area = el("div", { class: "sheet ground", css: { "--wide": `${sheet.size[0]}px`, "aspect-ratio": `${sheet.size[0]} / ${sheet.size[1]}` } }, el("img", { src: from, alt: `the sheet ${sheet.path}` }),
      Object.entries(sheet.frames).map(([name, box]) => frame(sheet, name, box)));
    const tell = (event) => { const hit = event.target.closest(".sprite"); if (hit) said.textContent = hit.title; };
    area.addEventListener("pointerover", tell);
    area.addEventListener("focusin", tell);
    return [area, said];
  }

  function one(atlas) {
    return el("section", { class: "atlas" },
      el("h2", {}, atlas.name, " ", el("span", { class: "quiet" }, count(atlas.members.length, "picture"))),
      atlas.state ? el("p", { class: "sign open" }, el("span", { class: "shape", "aria-hidden": "true" }, "↻"), `${atlas.state}${atlas.reason ? `: ${atlas.reason}` : ""}`) : null,
      atlas.sheets.map((sheet) => el("div", { class: "one-sheet" },
        el("p", { class: "quiet" }, [sheet.path, sheet.size ? `${sheet.size[0]} × ${sheet.size[1]}` : "", count(Object.keys(sheet.frames).length, "frame"), sheet.state].filter(Boolean).join(" · ")), picture(sheet))));
  }

  function show() {
    owners = new Map(gallery.cards.flatMap((card) => card.files.map((file) => [file.path, card])));
    host.replaceChildren(...(data.atlases || []).map(one));
  }

  function focus(card) {
    const found = [...host.querySelectorAll(".sprite")].find((node) => node.gallery === card);
    if (found) { found.focus({ preventScroll: true }); found.scrollIntoView({ block: "nearest" }); }
  }

  function key(event) { // the nearest frame in the direction of the arrow
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    const from = document.activeElement.closest(".sprite");
    if (!step) return false;
    if (!from) { const first = host.querySelector(".sprite:not(:disabled)"); if (first) first.focus(); return Boolean(first); }
    const middle = (node) => { const box = node.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
    const [x, y] = middle(from);
    let best = null;
    for (const node of from.parentElement.querySelectorAll(".sprite:not(:disabled)")) {
      const [dx, dy] = [middle(node)[0] - x, middle(node)[1] - y];
      const ahead = dx * step[0] + dy * step[1];
      const aside = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      if (node !== from && ahead > 2 && (!best || ahead + 3 * aside < best.far)) best = { far: ahead + 3 * aside, node };
    }
    if (best) best.node.focus();
    return true;
  }

  on("atlases", (atlases) => { data.atlases = atlases; if (!host.hidden) show(); });
  gallery.views.set("sheets", { words: "Sheets", host, show, key, focus, cards: (card) => [card], absent: () => !(data.atlases || []).length });
})();
