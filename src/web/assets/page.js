// Extras of the pages. Without this script, links and forms do the same.
"use strict";

const find = (selector, within = document) => within.querySelector(selector);

// A picture of a plan begins with the chosen node in its middle, or else the heaviest one.
function showNode(picture) {
  const node = find("a[aria-current]", picture) ?? find("a[data-heaviest]", picture) ?? find("a", picture);
  if (!node) return;
  const [inner, outer] = [node.getBoundingClientRect(), picture.getBoundingClientRect()];
  picture.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
  const isInside = inner.top >= outer.top && inner.bottom <= outer.bottom;
  if (!isInside) picture.scrollTop += inner.top - outer.top - outer.height / 2;
}

// Live updates: the server sends the order of the rows, and the rows that are new or changed.
function startLiveUpdates(body) {
  const pause = find("[data-live-pause]");
  const status = find("[data-live-status]");
  let source = null;
  let paused = false;
  const close = () => { if (source) source.close(); source = null; };
  const setStatus = (text) => { if (status.textContent !== text) status.textContent = text; };

  function applyChange(message) {
    const change = JSON.parse(message.data);
    const oldRows = new Map(Array.from(body.rows, (row) => [row.dataset.row, row]));
    const template = document.createElement("template");
    let added = 0;
    const rows = change.order.map((id) => {
      const oldRow = oldRows.get(String(id));
      const markup = change.rows[id];
      if (markup === undefined && oldRow) return oldRow;
      template.innerHTML = markup ?? "";
      const row = template.content.firstElementChild;
      if (row && !oldRow) { row.classList.add("new"); added += 1; }
      if (oldRow && oldRow.contains(document.activeElement)) queueMicrotask(() => find("a", row)?.focus());
      return row;
    });
    body.replaceChildren(...rows.filter(Boolean));
    const empty = find("[data-empty]");
    if (empty) empty.hidden = rows.length > 0;
    if (added > 0) setStatus(`${added} new ${added === 1 ? body.dataset.one : body.dataset.several}`);
  }

  function open() {
    if (paused || document.hidden || source) return;
    source = new EventSource(body.dataset.events);
    source.onopen = () => setStatus("Live");
    source.onmessage = applyChange;
    source.addEventListener("chart", (message) => replaceChart(JSON.parse(message.data)));
    source.onerror = () => {
      const closed = source.readyState === EventSource.CLOSED;
      setStatus(closed ? "Disconnected: reload the page" : "Connecting …");
    };
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    if (paused) { close(); setStatus("Paused"); } else { open(); }
  });
  // A browser allows few connections to one server, so a hidden page closes its connection.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

// The selection of a time range in the chart, while the pointer is down. A chart that arrives meanwhile waits.
let selection = null;
let waitingChart = null;

function replaceChart(markup) {
  if (selection) { waitingChart = markup; return; }
  waitingChart = null;
  const section = find(".over-time");
  const links = () => Array.from(section.querySelectorAll(".range a"));
  const focused = links().indexOf(document.activeElement);
  section.innerHTML = markup;
  links()[focused]?.focus();
}

// Dragging over the chart selects a time range.
function enableRangeSelection() {
  const columns = () => selection.chart.querySelectorAll("g[data-from]");
  const columnAt = (event) => {
    const box = selection.chart.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const count = columns().length;
    return Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  };
  const markUpTo = (end) => {
    if (!selection.mark) {
      selection.mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      selection.mark.setAttribute("class", "mark");
      selection.mark.setAttribute("y", "0");
      selection.mark.setAttribute("height", "100");
      selection.chart.append(selection.mark);
    }
    const step = Number(selection.chart.dataset.step);
    selection.mark.setAttribute("x", String(Math.min(selection.start, end) * step));
    selection.mark.setAttribute("width", String((Math.abs(end - selection.start) + 1) * step));
  };
  const cancel = () => {
    if (!selection) return;
    if (selection.mark) selection.mark.remove();
    selection = null;
    if (waitingChart) replaceChart(waitingChart);
  };
  addEventListener("dragstart", (event) => { if (event.target.closest?.("svg[data-base]")) event.preventDefault(); });
  addEventListener("pointerdown", (event) => {
    const chart = event.target.closest?.("svg[data-base]");
    if (!chart || event.button !== 0) return;
    selection = { chart };
    selection.start = columnAt(event);
  });
  addEventListener("pointermove", (event) => {
    if (selection && (selection.mark || columnAt(event) !== selection.start)) markUpTo(columnAt(event));
  });
  addEventListener("pointercancel", cancel);
  addEventListener("keydown", (event) => { if (event.key === "Escape") cancel(); });
  addEventListener("pointerup", (event) => {
    if (!selection?.mark) { cancel(); return; }
    const [first, last] = [selection.start, columnAt(event)].sort((a, b) => a - b);
    // The click that ends the drag would follow the link of a column.
    addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
    const address = new URL(selection.chart.dataset.base, location.href);
    address.searchParams.set("from", columns()[first].dataset.from);
    address.searchParams.set("to", columns()[last].dataset.to);
    selection = null;
    location.assign(address);
  });
}

// A button copies the text of the element that it names.
function enableCopy(button) {
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const element = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(element.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(element);
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// The key / moves to the box that finds queries, unless somebody is typing.
function enableFindKey(box) {
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    event.preventDefault();
    box.focus();
    box.select();
  });
}

const box = find("input[data-find]");
if (box) enableFindKey(box);
const rows = find("tbody[data-events]");
if (rows) startLiveUpdates(rows);
if (find("svg[data-base]") || find(".over-time")) enableRangeSelection();
document.querySelectorAll("button[data-copy]").forEach(enableCopy);
document.querySelectorAll(".plan-picture").forEach(showNode);
