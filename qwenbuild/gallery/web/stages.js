// The ways in which one entry is looked at: as it ships, in its frames, step by step, repeated, what was bought, candidates side by side.
// Each is a function from the viewer's state to elements; knows no key and no server.
"use strict";
(() => {
  const { el, button, look, whole, address } = gallery;

  // ------------------------------------------------------------ one picture

  const full = (digest) => whole(digest) || address("large", digest);

  function picture(digest, size, alt, scale = "fit", room = null) { // at 1 or 2 CSS pixels a pixel, or as large as fits, never larger than it is
    const from = full(digest);
    const [wide, high] = size;
    if (!from) return el("div", { class: "picture absent", css: { "--ar": wide / high } }, el("span", { class: "words" }, "there is no picture yet"));
    if (scale === "fit") {
      const by = room ? Math.min(room[0] / wide, room[1] / high, 1) : 1;
      return el("img", { class: "picture ground", src: from, alt, css: { "--ar": wide / high, "--wide": `${Math.max(Math.floor(wide * by), 8)}px` } });
    }
    return el("img", { class: "picture ground fixed" + (scale === 2 ? " sharp" : ""), src: from, alt, css: { width: `${wide * scale}px`, height: `${high * scale}px` } });
  }

  function ship(view, room) { // small files at true size and at twice that beside each other
    const file = view.card.files[view.file];
    const size = gallery.size(view.card, file);
    const alt = `${file.path}, as it ships`;
    if (view.scale !== "fit") return picture(file.digest, size, alt, Number(view.scale));
    if (3 * size[0] + 60 < room[0] && 2 * size[1] + 50 < room[1]) {
      return el("div", { class: "sizes" }, [1, 2].map((scale) => el("figure", {}, picture(file.digest, size, scale === 1 ? alt : "", scale), el("figcaption", {}, `${scale}×`))));
    }
    return picture(file.digest, size, alt, "fit", room);
  }

  function bought(view, room) {
    const one = view.card.candidates[view.number];
    const alt = `${view.card.id}, ${view.card.candidates.length > 1 ? `candidate ${view.number + 1}` : "the picture"} as it was bought`;
    return picture(one.digest, gallery.size(view.card, one), alt, view.scale === "fit" ? "fit" : Number(view.scale), room);
  }

  function tile(view) { // three by three, moved by half a tile: a seam crosses the middle
    const shown = view.card.files.find((file) => file.digest) || view.card.candidates[view.number];
    const size = gallery.size(view.card, shown);
    return el("div", { class: "tiles", role: "img", "aria-label": `${view.card.id}, three by three, the seams through the middle`, css: { "--tile": `url("${full(shown.digest)}")`, "--ar": size[0] / size[1] } });
  }

  // ------------------------------------------------------------ from the picture to the file

  function steps(view) {
    const file = view.card.files[view.file];
    const one = view.card.candidates[view.card.used];
    const figures = [[one ? one.digest : "", "as it was bought", "", one ? gallery.size(view.card, one) : [1, 1], "large"]];
    file.stages.forEach((digest, number) => figures.push([digest, file.steps[number][0], file.steps[number][1], null, "small"]));
    const last = file.steps[file.steps.length - 1];
    figures.push([file.digest, last[0], last[1], gallery.size(view.card, file), "large"]);
    return el("ol", { class: "steps" }, figures.map(([digest, name, words, size, kind], number) => {
      const from = (size && whole(digest)) || address(kind, digest);
      const title = number === 0 ? name : `${number}. ${name}`;
      return el("li", {}, el("figure", {}, from ? el("img", { class: "ground", src: from, alt: "", css: size ? { "max-width": `${size[0]}px` } : {} }) : el("span", { class: "absent words" }, "not at hand"),
        el("figcaption", {}, el("strong", {}, title), words ? el("span", {}, words) : null, size ? el("span", {}, `${size[0]} × ${size[1]}`) : null)));
    }));
  }

  // ------------------------------------------------------------ in the frames where files end up

  function kindOf(file, [wide, high]) {
    const ratio = wide / high;
    if (wide <= 400 && ratio > 0.9) return "list";
    if (ratio >= 2.6) return "header";
    if (ratio >= 1.86 && ratio <= 1.96) return "link";
    if (ratio >= 1.5) return "screen";
    if (ratio >= 1.15) return "banner";
    if (ratio >= 0.88) return "post";
    if (ratio >= 0.62) return "poster";
    return "story";
  }
  const FRAME_WORDS = { list: "in a list", header: "as a page's header", link: "as a link's preview", screen: "on a screen", banner: "as a banner", post: "as a post", poster: "on a wall", story: "on a phone" };
  const ROOMS = { list: [320, 180], header: [620, 260], link: [420, 240], screen: [520, 320], banner: [420, 320], post: [320, 320], poster: [280, 380], story: [210, 380] };

  const bars = (...widths) => el("span", { class: "bars" }, widths.map((width) => el("i", { css: { width } })));
  const AROUND = {
    list: (shown) => [shown, bars("90%", "70%", "40%")],
    header: (shown) => [el("span", { class: "browser" }, el("b"), el("b"), el("b")), shown, bars("60%", "92%", "88%")],
    link: (shown) => [shown, bars("30%", "85%")],
    screen: (shown) => [shown],
    banner: (shown) => [bars("70%", "90%"), shown, bars("80%")],
    post: (shown) => [el("span", { class: "poster-name" }, el("b"), bars("45%")), shown, bars("75%", "50%")],
    poster: (shown) => [shown],
    story: (shown) => [shown],
  };

  function framed(card, file, number, choose) {
    const size = gallery.size(card, file);
    const kind = kindOf(file, size);
    const [wide, high] = ROOMS[kind];
    const by = Math.min(wide / size[0], high / size[1], 1);
    const css = { width: `${Math.round(size[0] * by)}px`, height: `${Math.round(size[1] * by)}px` };
    const shown = file.digest ? el("img", { class: "ground", src: full(file.digest), alt: `${file.path} ${FRAME_WORDS[kind]}`, css }) : el("span", { class: "absent words", css }, file.state || "not made yet");
    return el("figure", { class: "placed " + kind }, el("button", { type: "button", class: "around", "aria-label": `${file.path}, ${FRAME_WORDS[kind]}`, on: { click: () => choose(number) } }, AROUND[kind](shown)),
      el("figcaption", {}, el("strong", {}, file.name || file.path.split("/").pop()), ` ${size[0]} × ${size[1]}`, file.state ? ` · ${file.state}` : ""));
  }

  const frames = (view, choose) => el("div", { class: "placements" }, view.card.files.map((file, number) => framed(view.card, file, number, choose)));

  // ------------------------------------------------------------ candidates

  function grid(count, ratio, width, height) { // as many columns as make the pictures largest
    let best = { columns: 1, size: 1 };
    for (let across = 1; across <= count; across += 1) {
      const size = Math.min(width / across - 19, (height / Math.ceil(count / across) - 34) * ratio);
      if (size > best.size) best = { columns: across, size };
    }
    return best;
  }

  function all(view, [width, height], choose) {
    const { card } = view;
    const [wide, high] = gallery.size(card, card.candidates[view.number]);
    const { columns, size } = grid(card.candidates.length, wide / high, width, height);
    return el("div", { class: "all", css: { "--columns": columns } }, card.candidates.map((one, number) => el("figure", { class: (number === view.number ? "chosen" : "") + (one.rejected ? " rejected" : "") },
      button(picture(one.digest, gallery.size(card, one), `${card.id}, candidate ${number + 1}`, "fit", [size, size * high / wide]), () => choose(number), { class: "plain", "aria-label": `candidate ${number + 1}` }),
      el("figcaption", {}, said(card, one, number)))));
  }

  function said(card, one, number) {
    const words = [`${number + 1}`, `seed ${one.seed}`];
    if (one.picked) words.push("picked");
    else if (number === card.used) words.push("in use");
    if (one.rejected) words.push("rejected");
    return words.join(" · ");
  }

  gallery.stages = { ship, bought, tile, steps, frames, all, picture, said, full, look };
})();
