// The review's server: what is sent to it, and what it says, on a line of its own that covers nothing.
"use strict";
(() => {
  const { byId, on } = gallery;
  const said = byId("said");
  document.body.classList.add("live");

  function say(words, bad = false) {
    said.textContent = words;
    said.className = bad ? "bad" : "";
  }

  async function send(path, body) {
    try {
      const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      if (!(answer.headers.get("content-type") || "").includes("json")) return { ok: false, words: await answer.text() };
      return { ok: answer.ok, status: answer.status, ...(await answer.json()) };
    } catch {
      return { ok: false, words: "The review does not answer; is it still running?" };
    }
  }

  byId("bar").append(said);
  on("opened", () => byId("viewer").querySelector(".left").append(said)); // all else is out of reach while an entry is open
  on("closed", () => byId("bar").append(said));
  gallery.talk = { say, send };
})();
