// Replaces the sections of the page that have changed. Without it the page
// reloads itself (see the noscript element of the page).
"use strict";

(() => {
  const at = document.body.dataset.events;
  const said = new Map(); // part → its HTML as it came, however it was laid out
  const plain = (part) => part.outerHTML.replace(/\s+/g, " ");
  let source = null;

  const state = document.querySelector("[data-live]");
  const say = (word, text) => {
    state.hidden = false;
    state.className = "live " + word;
    state.textContent = text;
  };

  // Times are written in UTC; here the reader's own zone is known.
  const local = (root) => {
    for (const time of root.querySelectorAll("time[data-clock]")) {
      const t = new Date(time.dateTime);
      if (time.dataset.clock === "both") { // The reader's own zone, and UTC beside it.
        const own = t.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
        time.textContent = `${own} · ${time.textContent}`;
        continue;
      }
      time.title = time.textContent;
      time.textContent = time.dataset.clock === "day"
        ? t.toLocaleString(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" })
        : t.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    }
  };

  const update = (html) => {
    const next = new DOMParser().parseFromString(html, "text/html");
    for (const part of next.querySelectorAll("[data-part]")) {
      const name = part.dataset.part;
      if (said.get(name) === plain(part)) continue;
      said.set(name, plain(part));
      if (name === "now") {
        const now = document.querySelector("[data-now]");
        now.dateTime = part.dateTime;
        now.textContent = part.textContent;
        continue;
      }
      const old = document.querySelector(`[data-part="${name}"]`);
      if (!old) { // The page has other sections now: Redis went, or came back.
        location.reload();
        return;
      }
      // What the reader is doing stays: an open table, the link in focus.
      for (const details of old.querySelectorAll("details[open]")) {
        const same = details.id && part.querySelector("#" + details.id);
        if (same) same.open = true;
      }
      const focus = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
      const fresh = document.importNode(part, true);
      old.replaceWith(fresh);
      local(fresh);
      if (focus) {
        for (const link of fresh.querySelectorAll("a")) {
          if (link.getAttribute("href") === focus) link.focus();
        }
      }
    }
  };

  // A link that is replaced between press and release is not clicked: what comes
  // then waits until the pointer is up.
  let pressed = false;
  let late = "";
  const release = () => setTimeout(() => { // after the click that follows the release
    pressed = false;
    if (late) update(late);
    late = "";
  });
  addEventListener("pointerdown", () => (pressed = true), true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, release, true);

  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(at);
    source.addEventListener("parts", (e) => {
      say("on", "live");
      if (pressed) late = e.data;
      else update(e.data);
    });
    source.onerror = () => {
      const ended = source.readyState === EventSource.CLOSED;
      say("off", ended ? "not live: reload the page" : "reconnecting");
    };
  };
  const close = () => {
    if (source) source.close();
    source = null;
  };

  for (const part of document.querySelectorAll("[data-part]")) said.set(part.dataset.part, plain(part));
  local(document);
  if (!at) return;
  // A page that nobody sees holds no connection: browsers have few.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
})();
