// What a page does beside showing itself. Everything here is an extra: without it, links and forms do the same.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);

// New queries, as they come. The server sends the order of the rows, and those that are new or changed.
function live(body) {
  const pause = one("[data-live-pause]");
  const status = one("[data-live-status]");
  let source = null;
  let paused = false;
  const close = () => { if (source) source.close(); source = null; };
  const say = (text) => { if (status.textContent !== text) status.textContent = text; };

  function take(message) {
    const news = JSON.parse(message.data);
    const old = new Map(Array.from(body.rows, (row) => [row.dataset.row, row]));
    const fragment = document.createElement("template");
    let added = 0;
    const rows = news.order.map((id) => {
      const known = old.get(String(id));
      const markup = news.rows[id];
      if (markup === undefined && known) return known;
      fragment.innerHTML = markup ?? "";
      const row = fragment.content.firstElementChild;
      if (row && !known) { row.classList.add("new"); added += 1; }
      if (known && known.contains(document.activeElement)) queueMicrotask(() => one("a", row)?.focus());
      return row;
    });
    body.replaceChildren(...rows.filter(Boolean));
    const empty = one("[data-empty]");
    if (empty) empty.hidden = rows.length > 0;
    if (added > 0) say(added === 1 ? "1 new query" : `${added} new queries`);
  }

  function open() {
    if (paused || document.hidden || source) return;
    source = new EventSource(body.dataset.events);
    source.onopen = () => say("Live");
    source.onmessage = take;
    source.addEventListener("chart", (message) => draw(JSON.parse(message.data)));
    source.onerror = () => {
      say(source.readyState === EventSource.CLOSED ? "Not live: load the page again" : "Connecting …");
    };
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    if (paused) { close(); say("Paused"); } else { open(); }
  });
  // A browser allows few connections to a server: only the page that is looked at keeps one.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

// The chart above the list. While somebody picks a range it stays as it is.
let picking = null;
let drawn = null;
function draw(markup) {
  if (picking) { drawn = markup; return; }
  drawn = null;
  const section = one(".over-time");
  const links = () => Array.from(section.querySelectorAll(".range a"));
  const focused = links().indexOf(document.activeElement);
  section.innerHTML = markup;
  links()[focused]?.focus();
}

// A range is picked by dragging over the chart.
function pick() {
  const places = () => picking.chart.querySelectorAll("g[data-from]");
  const at = (event) => {
    const box = picking.chart.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const count = places().length;
    return Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  };
  const mark = (to) => {
    if (!picking.mark) {
      picking.mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      picking.mark.setAttribute("class", "mark");
      picking.mark.setAttribute("y", "0");
      picking.mark.setAttribute("height", "100");
      picking.chart.append(picking.mark);
    }
    const step = Number(picking.chart.dataset.step);
    picking.mark.setAttribute("x", String(Math.min(picking.from, to) * step));
    picking.mark.setAttribute("width", String((Math.abs(to - picking.from) + 1) * step));
  };
  const forget = () => {
    if (!picking) return;
    if (picking.mark) picking.mark.remove();
    picking = null;
    if (drawn) draw(drawn);
  };
  addEventListener("dragstart", (event) => { if (event.target.closest?.("svg[data-base]")) event.preventDefault(); });
  addEventListener("pointerdown", (event) => {
    const chart = event.target.closest?.("svg[data-base]");
    if (!chart || event.button !== 0) return;
    picking = { chart };
    picking.from = at(event);
  });
  addEventListener("pointermove", (event) => {
    if (picking && (picking.mark || at(event) !== picking.from)) mark(at(event));
  });
  addEventListener("pointercancel", forget);
  addEventListener("keydown", (event) => { if (event.key === "Escape") forget(); });
  addEventListener("pointerup", (event) => {
    if (!picking?.mark) { forget(); return; }
    const ends = [picking.from, at(event)].sort((a, b) => a - b);
    // The click that ends the drag would follow the link of a bar.
    addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
    const address = new URL(picking.chart.dataset.base, location.href);
    address.searchParams.set("from", places()[ends[0]].dataset.from);
    address.searchParams.set("to", places()[ends[1]].dataset.to);
    picking = null;
    location.assign(address);
  });
}

// Copies the text of what a button names.
function copies(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = said; }, 2000);
  });
}

const rows = one("tbody[data-events]");
if (rows) live(rows);
if (one(".over-time")) pick();
document.querySelectorAll("button[data-copy]").forEach(copies);
