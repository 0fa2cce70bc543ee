"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const buttons = [...document.querySelectorAll(".change")];
  const panes = [byId("first"), byId("second")];
  const told = new Map(buttons.map((button) => [button.id.slice(1), JSON.parse(button.dataset.change)]));
  const detail = byId("detail");

  // Both panes scroll together, as far apart as the chosen difference put them.
  let apart = 0;
  let leader = null;
  const mapped = panes[0] !== null;
  const level = () => { apart = 0; if (mapped) panes[1].scrollTop = panes[0].scrollTop; };
  if (mapped) {
    panes.forEach((pane, side) => {
      for (const event of ["pointerenter", "wheel", "touchstart", "focusin", "keydown"]) {
        pane.addEventListener(event, () => { leader = side; }, { passive: true });
      }
      pane.addEventListener("scroll", () => {
        if (leader !== side) return;
        const other = panes[1 - side];
        other.scrollTop = pane.scrollTop + (side === 0 ? apart : -apart);
        other.scrollLeft = pane.scrollLeft;
      }, { passive: true });
    });
  }

  const line = (pre, sign, style, text) => {
    if (text === null) return;
    for (const part of text.split("\n")) {
      const span = document.createElement("span");
      span.className = style;
      span.textContent = `${sign} ${part.trim()}`;
      pre.append(span);
    }
  };

  const show = (change) => {
    const what = document.createElement("p");
    const strong = document.createElement("b");
    strong.textContent = change.what;
    what.append(strong, ` — ${change.kind}, in ${change.place}`);
    const pre = document.createElement("pre");
    line(pre, "−", "out", change.first);
    line(pre, "+", "in", change.second);
    detail.replaceChildren(what, pre);
    detail.hidden = false;
  };

  const reveal = (change) => {
    // a place that a filter hides cannot be gone to
    const hidden = change.at.map(byId).some((place) => place && place.closest(".part").hidden);
    if (hidden) { byId("view").value = ""; byId("space").value = ""; filter(); }
  };

  const choose = (button, focus) => {
    for (const old of document.querySelectorAll("[aria-current], .chosen")) {
      old.removeAttribute("aria-current");
      old.classList.remove("chosen");
    }
    const change = told.get(button.id.slice(1));
    button.setAttribute("aria-current", "true");
    const group = button.closest("details");
    for (let outer = group; outer; outer = outer.parentElement.closest("details")) outer.open = true;
    if (focus) button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
    show(change);
    if (!mapped || !change.at.length) return;
    reveal(change);
    leader = null;
    const places = change.at.map(byId).filter((place) => place !== null);
    for (const place of places) place.classList.add("chosen");
    const tops = panes.map((pane) => {
      const place = places.find((candidate) => pane.contains(candidate));
      if (!place) return null;
      const top = place.getBoundingClientRect().top - pane.getBoundingClientRect().top + pane.scrollTop;
      return Math.max(0, top - pane.clientHeight / 3);
    });
    // where one side has no such thing, it shows the same height
    panes.forEach((pane, side) => { pane.scrollTop = tops[side] ?? tops[1 - side]; });
    apart = panes[1].scrollTop - panes[0].scrollTop;
  };

  const shown = () => buttons.filter((button) => !button.parentElement.hidden);
  const step = (by) => {
    const all = shown();
    if (!all.length) return;
    const at = all.findIndex((button) => button.hasAttribute("aria-current"));
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : (at + by + all.length) % all.length;
    choose(all[next], true);
  };

  const filter = () => {
    const view = byId("view").value;
    const space = byId("space").value;
    for (const part of document.querySelectorAll(".part")) {
      const spaces = part.dataset.spaces.split("\n");
      part.hidden = (view !== "" && part.dataset.view !== view) || (space !== "" && !spaces.includes(space));
    }
    for (const button of buttons) {
      const change = told.get(button.id.slice(1));
      button.parentElement.hidden = (view !== "" && !change.views.includes(view)) ||
        (space !== "" && !change.spaces.includes(space));
    }
    for (const group of document.querySelectorAll("#list details")) {
      const rows = [...group.querySelectorAll("li:has(> .change)")];
      const left = rows.filter((row) => !row.hidden).length;
      group.hidden = rows.length > 0 && left === 0;
      const count = group.querySelector(".count");
      if (count) count.textContent = left === rows.length ? left : `${left} of ${rows.length}`;
    }
    level();
  };

  for (const button of buttons) button.addEventListener("click", () => choose(button, false));
  if (mapped) {
    byId("view").addEventListener("change", filter);
    byId("space").addEventListener("change", filter);
    byId("only").addEventListener("change", (event) => {
      document.body.classList.toggle("only", event.target.checked);
      level();
      const now = document.querySelector(".change[aria-current]");
      if (now) choose(now, false);
    });
  }
  const chosenAt = (target) => {
    const marked = target.closest("[data-c]");
    if (!marked) return false;
    const numbers = marked.dataset.c.split(" ");
    const now = numbers.findIndex((number) => byId(`c${number}`).hasAttribute("aria-current"));
    choose(byId(`c${numbers[(now + 1) % numbers.length]}`), false);
    return true;
  };
  document.addEventListener("click", (event) => { chosenAt(event.target); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    if (event.key === "n") step(1);
    else if (event.key === "p") step(-1);
    else if (event.key === "Escape") level();
    else if ((event.key === "Enter" || event.key === " ") && event.target.matches("[data-c]")) {
      if (chosenAt(event.target)) event.preventDefault();
    }
  });
})();
