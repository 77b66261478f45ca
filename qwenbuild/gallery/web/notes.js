// Notes to an entry: what is typed is never lost to somebody else's note, and one that is too long says by how much.
"use strict";
(() => {
  const { el, button, talk, choices, byId } = gallery;
  const LONGEST = 4000; // characters, as the command line has it
  const drafts = new Map(); // id → { text, over: the note that it was typed over, refused }: what is typed and not in the lockfile

  function excess(text) {
    const over = [...text.trim()].length - LONGEST;
    return over > 0 ? `${over.toLocaleString("en")} characters too many: shorten it to ${LONGEST.toLocaleString("en")}` : "";
  }

  function draw(card, place) {
    const draft = drafts.get(card.id);
    const field = el("textarea", { placeholder: card.locked ? "Note" : "A note needs a picture: make the picture first.", "aria-label": "Note", readonly: !card.locked, class: draft && draft.refused ? "unkept" : "" });
    const long = el("p", { class: "reason bad", role: "status" }, excess(draft ? draft.text : card.note));
    field.value = draft ? draft.text : card.note;
    field.addEventListener("input", () => {
      const typed = drafts.get(card.id) || { over: card.note, refused: false };
      typed.text = field.value;
      drafts.set(card.id, typed);
      long.textContent = excess(field.value);
    });
    field.addEventListener("blur", () => { const typed = drafts.get(card.id); if (typed && !typed.refused) keep(card.id); });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) { field.blur(); event.preventDefault(); byId("viewer").querySelector(".stage").focus(); }
      event.stopPropagation();
    });
    place.append(field, long);
    if (!draft || !draft.refused) return;
    place.append(el("p", { class: "reason" }, card.note && draft.over !== draft.text ? `Not saved yet. The lockfile says: ${card.note}` : "Not saved yet."),
      button("Save this note", () => keep(card.id)), button("Drop it", () => { drafts.delete(card.id); gallery.redrawViewer(); }));
  }

  function keep(id) {
    choices.queue(async () => {
      const [draft, card] = [drafts.get(id), gallery.card(id)];
      if (!draft || !card) return;
      const { text } = draft;
      if (text.trim() === card.note) drafts.delete(id);
      else if (draft.over !== card.note) {
        Object.assign(draft, { refused: true, over: card.note });
        talk.say("The note was changed in the meantime. Nothing was overwritten; both are shown.", true);
      } else if (!(await choices.deliver("note", [card], { text }))) Object.assign(draft, { refused: true, over: card.note });
      else if (draft.text === text) drafts.delete(id);
      else draft.over = card.note;
      gallery.emit("redraw");
    });
  }

  addEventListener("beforeunload", (event) => { if (drafts.size) event.preventDefault(); });
  gallery.notes = { draw, drafts };
})();
