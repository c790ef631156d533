"use strict";
// What the page does beside being read: plots, sorted and filtered tables, enlarged pictures.
// Without it, all figures still stand in the tables.

const OPTIONS = {actions: false, renderer: "svg", tooltip: {theme: "custom", disableDefaultStyle: true}};

async function draw(plot) {
  if (plot.dataset.drawn || !plot.offsetParent) return;
  plot.dataset.drawn = "yes";
  const spec = JSON.parse(plot.querySelector("script").textContent);
  await window.vegaEmbed(plot, spec, OPTIONS);
  plot.querySelector("svg").setAttribute("aria-hidden", "true"); // the plot has words of its own
}

async function drawAll() {
  for (const plot of document.querySelectorAll(".plot")) await draw(plot);
  document.body.dataset.drawn = "yes";
}

function value(cell) {
  const text = (cell.dataset.sort ?? cell.textContent).trim().replace("−", "-");
  const number = /^[+-]?[\d,]*\.?\d+/.exec(text);
  if (number) return Number(number[0].replaceAll(",", ""));
  return text === "–" || text === "" ? null : text;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", {numeric: true});
}

function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
      const known = rows.filter(([found]) => found !== null).sort(([a], [b]) => compare(a, b));
      if (!up) known.reverse();
      const unknown = rows.filter(([found]) => found === null);
      body.append(...[...known, ...unknown].map(([, row]) => row));
    });
  });
}

function filterable(table) {
  const body = table.tBodies[0];
  if (body.rows.length < 8) return;
  const field = document.createElement("input");
  field.type = "search";
  field.className = "filter";
  field.placeholder = "Filter rows";
  field.setAttribute("aria-label", `Filter rows: ${table.caption.textContent}`);
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  table.closest(".scroll").before(field);
}

function enlarge() {
  const dialog = document.getElementById("enlarged");
  const shown = dialog.querySelector(".shown"), words = dialog.querySelector("p");
  const pictures = [...document.querySelectorAll("main img, main svg.figure")];
  let place = 0;
  const show = (to) => {
    place = (to + pictures.length) % pictures.length;
    const picture = pictures[place];
    shown.replaceChildren(picture.cloneNode(true));
    words.textContent = picture.getAttribute("alt") ?? picture.getAttribute("aria-label");
  };
  pictures.forEach((picture, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    picture.replaceWith(button);
    button.append(picture);
    button.addEventListener("click", () => {
      show(number);
      dialog.showModal();
    });
  });
  dialog.addEventListener("close", () => {
    shown.replaceChildren();
    pictures[place].parentElement.focus();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (step) show(place + step);
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.querySelector("[data-next]").addEventListener("click", () => show(place + 1));
  dialog.querySelector("[data-before]").addEventListener("click", () => show(place - 1));
}

for (const table of document.querySelectorAll("table.data")) {
  sortable(table);
  filterable(table);
}
enlarge();
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => details.querySelectorAll(".plot").forEach(draw));
}
drawAll();
