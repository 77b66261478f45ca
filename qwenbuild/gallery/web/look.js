// How pictures are looked at: what ships or what was bought, the size, the ground behind transparency, how large a board's cells are.
// Knows no view: each of them listens.
"use strict";
(() => {
  const { byId, remembered, emit, on } = gallery;
  const SIZES = ["fit", "1", "2"];
  const SIZE_WORDS = { fit: "Fit", 1: "1×", 2: "2×" };
  const GROUNDS = ["checks", "light", "dark", "own"];
  const ZOOMS = [48, 64, 80, 96, 112, 144, 192, 256, 360, 512, 720, 1024];
  const look = { bought: false, takes: false, size: "fit", ground: "checks", colour: "#3a4a3f", zoom: 112 };
  const root = document.documentElement;

  function ground() {
    root.dataset.ground = look.ground;
    root.style.setProperty("--own-ground", look.colour);
    byId("ground").value = look.ground;
    byId("colour").hidden = look.ground !== "own";
    byId("colour").value = look.colour;
  }

  function chrome() {
    byId("bought").setAttribute("aria-pressed", String(look.bought));
    byId("takes").setAttribute("aria-pressed", String(look.takes));
    byId("size").textContent = SIZE_WORDS[look.size];
    byId("size").setAttribute("aria-label", `${SIZE_WORDS[look.size]}, size of the pictures`);
    byId("zoom").value = String(ZOOMS.indexOf(look.zoom));
    byId("zoom").setAttribute("aria-valuetext", look.zoom === 1024 ? "full" : `${look.zoom} pixels`);
  }

  function set(changes) {
    Object.assign(look, changes);
    for (const name of ["ground", "colour", "zoom"]) if (name in changes) remembered.set(name, look[name]);
    ground();
    chrome();
    emit("look", changes);
  }

  const after = (list, value) => list[(list.indexOf(value) + 1) % list.length];
  Object.assign(look, {
    nextSize: () => set({ size: after(SIZES, look.size) }),
    nextGround: () => set({ ground: after(GROUNDS, look.ground) }),
    turn: () => set({ bought: !look.bought }),
    spread: () => set({ takes: !look.takes }),
    closer: (step) => set({ zoom: ZOOMS[Math.min(Math.max(ZOOMS.indexOf(look.zoom) + step, 0), ZOOMS.length - 1)] }),
    set,
  });

  function theme(wanted) {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = wanted || (now === "dark" ? "light" : "dark");
    remembered.set("theme", root.dataset.theme);
  }

  if (remembered.get("theme")) theme(remembered.get("theme"));
  if (GROUNDS.includes(remembered.get("ground"))) look.ground = remembered.get("ground");
  if (/^#[0-9a-f]{6}$/.test(remembered.get("colour") || "")) look.colour = remembered.get("colour");
  if (ZOOMS.includes(Number(remembered.get("zoom")))) look.zoom = Number(remembered.get("zoom"));
  byId("bought").addEventListener("click", look.turn);
  byId("takes").addEventListener("click", look.spread);
  byId("size").addEventListener("click", look.nextSize);
  byId("theme").addEventListener("click", () => theme());
  byId("ground").addEventListener("change", (event) => set({ ground: event.target.value }));
  byId("colour").addEventListener("input", (event) => set({ ground: "own", colour: event.target.value }));
  byId("zoom").setAttribute("max", String(ZOOMS.length - 1));
  byId("zoom").addEventListener("input", (event) => set({ zoom: ZOOMS[Number(event.target.value)] }));
  on("view", (name) => {
    byId("zoom").hidden = name !== "board";
    byId("size").hidden = name !== "cards";
    byId("takes").hidden = name !== "cards" || !gallery.cards.some((card) => card.candidates.length > 1);
  });
  gallery.look = look;
  gallery.theme = theme;
  ground();
  chrome();
})();
