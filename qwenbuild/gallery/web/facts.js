// What is known of one entry, in words, beside its picture. Knows no server.
"use strict";
(() => {
  const { el, button, data } = gallery;
  const LONG = 700; // characters of a text of which the rest is shown on demand

  function text(words, name) {
    if (words.length <= LONG + 60) return el("p", { class: "prompt" }, words);
    const shown = el("p", { class: "prompt" }, `${words.slice(0, LONG)}… `);
    const more = button(`All of it (${words.length.toLocaleString("en")} characters)`, () => { shown.textContent = words; }, { class: "link", "aria-label": `All of ${name}` });
    shown.append(more);
    return shown;
  }

  const section = (title, words) => (words ? [el("h3", {}, title), text(words, title)] : []);

  function files(card, chosen, choose) {
    return el("ul", { class: "files" }, card.files.map((file, number) => el("li", {},
      button(file.path, () => choose(number), { class: "link", "aria-pressed": String(chosen === number), disabled: !file.digest }),
      el("span", { class: "quiet" }, [file.size ? `${file.size[0]} × ${file.size[1]}` : "", file.state].filter(Boolean).map((words) => ` · ${words}`).join("")),
      file.steps.length ? el("span", { class: "quiet made-by" }, file.steps.map(([name, words]) => (words ? `${name} (${words})` : name)).join(" → ")) : null)));
  }

  function rows(card, candidate, number) {
    const found = [];
    const row = (name, value) => { if (value !== "" && value !== undefined && value !== null) found.push(el("dt", {}, name), el("dd", {}, value)); };
    if (candidate) row(card.candidates.length > 1 ? "Candidate" : "Seed", card.candidates.length > 1 ? gallery.stages.said(card, candidate, number) : String(candidate.seed));
    row("Model", [card.provider, card.model].filter(Boolean).join(" · "));
    row("Bought at", candidate && candidate.size ? `${candidate.size[0]} × ${candidate.size[1]}` : card.size);
    row("Price", candidate ? candidate.price || card.price : "");
    const shown = candidate || card.before;
    if (shown && shown.file) row("Shown", `${shown.file}, made from the picture, which cannot be found`);
    row("Made", candidate ? candidate.made : card.before && card.before.made);
    row("Tags", card.tags.join(", "));
    if (candidate && candidate.key) found.push(el("dt", {}, "Key"), el("dd", { class: "key" }, candidate.key));
    return found;
  }

  function earlier(old) {
    const found = old.changes.map(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]);
    const shown = old.file ? [el("dt", {}, "shown"), el("dd", {}, `${old.file}, made from the picture, which cannot be found`)] : [];
    return [found, shown, el("dt", {}, "made"), el("dd", {}, old.made), el("dt", {}, "key"), el("dd", { class: "key" }, old.key)];
  }

  function facts(view, choose) {
    const { card } = view;
    const candidate = card.candidates[view.number];
    const sign = gallery.sign(card);
    return el("aside", { class: "facts", "aria-label": "Facts" },
      el("h2", {}, card.id),
      el("p", { class: "states" }, sign ? el("span", { class: `sign ${sign.kind}` }, el("span", { class: "shape", "aria-hidden": "true" }, sign.shape)) : null, gallery.states(card).join(" · ")),
      el("div", { class: "actions" }),
      card.reasons.map((reason) => el("p", { class: "reason" }, reason)),
      card.files.length ? [el("h3", {}, card.files.length > 1 ? "Files that ship" : "The file that ships"), files(card, view.mode === "ship" ? view.file : -1, choose)] : null,
      section("Prompt", card.prompt),
      candidate && candidate.rewritten && candidate.rewritten !== card.prompt ? section("As rewritten by the API", candidate.rewritten) : null,
      section("Negative prompt", card.negative),
      data.live ? null : section("Note", card.note),
      el("dl", {}, rows(card, candidate, view.number)),
      card.before && card.candidates.length ? [el("h3", {}, `At ${data.against || "the earlier revision"}`), el("dl", {}, earlier(card.before))] : null);
  }

  gallery.facts = facts;
  gallery.shorten = text;
})();
