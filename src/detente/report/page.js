"use strict";
// Everything here is a help beside what the page shows without it: a filter by language, a switch of task settings, sorting.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const chosen = new Set();
  let setting = "";

  const isShown = (element) => {
    const languages = element.dataset.l;
    const hasLanguage = !chosen.size || languages === undefined || languages.split(" ").some((one) => chosen.has(one));
    return hasLanguage && (!setting || !element.dataset.setting || element.dataset.setting === setting);
  };

  const showColumns = (table) => {
    const heads = [...table.tHead.rows];
    const last = heads.pop();
    const shown = [...last.cells].map(isShown);
    const bodies = [...table.tBodies].flatMap((body) => [...body.rows]);
    for (const row of [last, ...bodies]) {
      if (row.cells.length !== shown.length) continue; // a heading over rows
      shown.forEach((isOn, place) => row.cells[place].classList.toggle("off", !isOn));
    }
    for (const row of heads) {
      let start = 1;
      for (const cell of [...row.cells].slice(1)) {
        const width = Number(cell.dataset.width);
        const left = shown.slice(start, start + width).filter(Boolean).length;
        cell.classList.toggle("off", !left);
        cell.colSpan = left || width;
        start += width;
      }
    }
  };

  const refresh = () => {
    all("[data-l]:not(th)").forEach((element) => element.classList.toggle("off", !isShown(element)));
    all("table").filter((table) => table.querySelector("thead [data-l], thead [data-setting]")).forEach(showColumns);
  };

  const languages = document.getElementById("languages");
  if (languages) {
    languages.hidden = false;
    const status = languages.querySelector("[role=status]");
    languages.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const one = button.dataset.language;
      if (!chosen.delete(one)) chosen.add(one);
      button.setAttribute("aria-pressed", String(chosen.has(one)));
      refresh();
      status.textContent = chosen.size ? "Rows, columns and figures of other languages are hidden." : "";
    });
  }

  const settings = document.getElementById("settings");
  if (settings) {
    settings.hidden = false;
    settings.addEventListener("change", (event) => {
      setting = event.target.value;
      refresh();
    });
  }

  const NUMBER = /^[+\u2212-]?[\d,.]+(?=$|[\s\u00a0\u00b1\u2020\u00d7])/;
  const valueOf = (cell) => {
    const text = cell.textContent.trim();
    const number = text.match(NUMBER);
    return number ? Number(number[0].replace("\u2212", "-").replaceAll(",", "")) : text;
  };
  // Numbers first, then words, then what is empty, whichever way they are sorted.
  const rank = (value) => (typeof value === "number" ? 0 : value ? 1 : 2);
  const compare = (first, second, sign) => {
    if (rank(first) !== rank(second)) return rank(first) - rank(second);
    return sign * (typeof first === "number" ? first - second : first.localeCompare(second));
  };

  const sort = (table, head, column) => {
    const isDown = head.getAttribute("aria-sort") === "descending";
    all("[aria-sort]", table).forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", isDown ? "ascending" : "descending");
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => row.cells.length > column && !row.querySelector("[scope=rowgroup]"));
      const keyed = rows.map((row) => [valueOf(row.cells[column]), row]);
      keyed.sort(([first], [second]) => compare(first, second, isDown ? 1 : -1));
      body.append(...keyed.map(([, row]) => row));
    }
  };

  for (const table of all("table.sorts")) {
    [...table.tHead.rows].at(-1).querySelectorAll("th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head, column));
    });
  }
})();
