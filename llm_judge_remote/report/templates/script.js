
"use strict";
// Without this script everything can be read; with it tables sort, and rows open together.
(() => {
  const said = document.getElementById("said");
  const keyOf = (row, index) => {
    const cell = row.cells[index];
    return "sort" in cell.dataset ? Number(cell.dataset.sort) : cell.textContent.trim();
  };
  const order = (a, b) => {
    const numbers = [typeof a === "number", typeof b === "number"];
    if (numbers[0] && numbers[1]) return a - b;
    // What is no number, such as a dash, comes last among numbers.
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  const sort = (table, head, index) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.sort((a, b) => order(keyOf(a, index), keyOf(b, index)) * (down ? -1 : 1));
    body.append(...rows);
    said.textContent = `Sorted by ${head.textContent}, ${down ? "descending" : "ascending"}`;
  };
  for (const table of document.querySelectorAll("table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    Array.from(table.tHead.rows[0].cells).forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sort(table, head, index));
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
    });
  }
  for (const button of document.querySelectorAll("button[data-group]")) {
    const rows = button.closest("section").querySelectorAll("details.row");
    const name = () => { button.textContent = Array.from(rows).every((row) => row.open) ? "Close all" : "Open all"; };
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = !Array.from(rows).every((row) => row.open);
      for (const row of rows) row.open = open;
    });
    for (const row of rows) row.addEventListener("toggle", name);
  }
  // What scrolls can be scrolled by keyboard.
  const reach = () => {
    for (const part of document.querySelectorAll(".scroll, pre")) {
      if (part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight) part.tabIndex = 0;
    }
  };
  document.addEventListener("toggle", reach, true);
  window.addEventListener("resize", reach);
  reach();
})();
