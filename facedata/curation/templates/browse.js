// Small pictures: a grid, a map, similar images, and the viewer in which each of them is decided
// about. In one module with review.js, after it.

const VIEWER_LIST = 200; // images that the viewer goes through from a point of the map on
const REACH = 24; // px from a point at which the pointer means it
const NUM_COLORS = 9; // --c0 to --c8

const pictureOf = (image) =>
  make("img", { src: `data:image/webp;base64,${image.picture}`, alt: "", loading: "lazy", decoding: "async" });

// Attributes that images are browsed by.
const classed = () => data.attributes.filter((one) => one.classes);

// Return the number of an image's class, -1 if its label is missing.
function classOf(image, name) {
  const { classes, place } = attributes.get(name);
  return classes.indexOf(image.labels[place]);
}

const allNames = () => data.attributes.map((one) => one.name);
const labelsOf = (image, names) => names.map((name) => shown(image.labels[attributes.get(name).place]));

function stateOf(id) {
  return actionOf(id) || (decided(id) ? "relabel" : "");
}

// Return a button with a small picture, and what decides about it.
function small(className, entry, names, onclick) {
  const image = data.images[entry.number];
  const { id } = image;
  const label = labelsOf(image, names).join(" · ");
  const all = labelsOf(image, allNames()).map((value, i) => `${data.attributes[i].name}: ${value}`);
  const button = make("button", { onclick, title: [id, ...all].join("\n") }, pictureOf(image));
  if (label) button.append(make("span", { textContent: label }));
  button.dataset[className === "tile" ? "image" : "similar"] = id;
  button.entry = entry;
  button.act = actsOf(entry, onclick);
  watch(id, button, () => {
    const state = stateOf(id);
    button.className = `${className} ${state}`;
    button.setAttribute("aria-label", [label, id, state].filter(Boolean).join(", "));
  });
  return button;
}

// What keys do to an image that has no card.
function actsOf({ number }, open) {
  const { id } = data.images[number];
  const decide = (action) => ({ click: () => change([[id, withAction(id, action)]]) });
  const opens = { click: open };
  return { keep: decide("keep"), drop: decide("drop"), relabel: opens, note: opens, enlarge: opens };
}

const entryOf = (number, item) => ({ number, item });

// Similar images.

const copies = new Map(); // of one picture, by image
for (const { images } of data.sections.duplicates)
  for (const one of images) copies.set(one, images.filter((other) => other !== one));

function similar(entry, relevant) {
  const { number, item } = entry;
  // A doubted label is compared with that of a copy, too; in clusters copies lie beside each other.
  const besides = item.attribute ? (copies.get(number) ?? []).slice(0, 2) : [];
  const asked = { asked: relevant }; // what they are compared in
  // What is made of another one that is told follows from it, and there is room for few words.
  const isMade = (name) => attributes.get(name)?.sources.some((one) => relevant.includes(one));
  const told = relevant.filter((name) => !isMade(name));
  const entries = [...besides, ...data.images[number].similar].map((one) => entryOf(one, asked));
  if (!entries.length) return [];
  const row = entries.map((one, at) => small("mini", one, told, () => look(entries, at, entry)));
  row.forEach((button, at) => {
    const [label] = labelsOf(data.images[entries[at].number], relevant);
    button.classList.toggle("suggested", label !== undefined && label === item.suggested);
  });
  const title = told.length ? `Similar, and their ${told.join(", ")}` : "Similar";
  const heading = make("p", { className: "soft similar-title", textContent: title });
  return [heading, make("div", { className: "similar" }, ...row)];
}

// The grid.

function grid(items) {
  const entries = items.map((item) => entryOf(item.images[0], item));
  const names = view.attribute && view.class === "" ? [view.attribute] : [];
  const tiles = entries.map((entry, at) => small("tile", entry, names, () => look(entries, at)));
  return make("div", { className: "tiles" }, ...tiles);
}

// The map.

function makeMap(items) {
  const entries = items.map((item) => entryOf(item.images[0], item));
  const box = make("div", { className: "map", tabIndex: 0 });
  box.setAttribute("role", "application");
  const what = `Map of ${count(entries.length, "image")}`;
  box.setAttribute("aria-label", `${what}: arrows go from one to the next, Enter opens it`);
  box.innerHTML = '<svg aria-hidden="true"></svg>';
  const svg = box.firstChild;
  const tip = make("div", { className: "tip", hidden: true });
  const told = make("p", { className: "unseen" });
  told.setAttribute("role", "status");
  box.append(tip, told);

  // Places on the map, in shares of its sides, and in pixels.
  const imageOf = (entry) => data.images[entry.number];
  const shares = entries.map((entry) => {
    const [x, y] = imageOf(entry).at;
    return [0.02 + 0.00096 * x, 0.98 - 0.00096 * y];
  });
  const pixels = () => {
    const { clientWidth: width, clientHeight: height } = svg;
    return shares.map(([x, y]) => [x * width, y * height]);
  };
  const points = entries.map((entry, i) => {
    const image = imageOf(entry);
    const [x, y] = shares[i];
    const point = document.createElementNS(svg.namespaceURI, "circle");
    point.setAttribute("cx", `${100 * x}%`);
    point.setAttribute("cy", `${100 * y}%`);
    const number = view.attribute ? classOf(image, view.attribute) : 0;
    point.style.fill = number < 0 ? "var(--soft)" : `var(--c${number % NUM_COLORS})`;
    const kind = isFlagged(entry.number) ? "flagged" : "";
    watch(image.id, point, () => point.setAttribute("class", `${kind} ${stateOf(image.id)}`));
    svg.append(point);
    return point;
  });
  let at = -1;

  function choosePoint(number) {
    if (at >= 0) points[at].style.r = "";
    at = number;
    tip.hidden = at < 0;
    if (at < 0) return;
    const image = imageOf(entries[at]);
    points[at].style.r = "9px";
    svg.append(points[at]); // above the others
    const label = view.attribute ? labelsOf(image, [view.attribute])[0] : "";
    const texts = [make("b", { textContent: label }), make("span", { textContent: image.id })];
    tip.replaceChildren(pictureOf(image), ...texts);
    const [x, y] = shares[at];
    tip.style.left = `${100 * x}%`;
    tip.style.top = `${100 * y}%`;
    tip.classList.toggle("leftwards", x > 0.5);
    tip.classList.toggle("upwards", y > 0.5);
  }

  // Return the numbers of the points in the order of `distance`, without those where it is infinite.
  function ordered(distance) {
    const far = pixels().map(([x, y]) => distance(x, y));
    const near = [...far.keys()].filter((i) => far[i] < Infinity);
    return near.sort((a, b) => far[a] - far[b]);
  }

  function pointed(event) {
    const { left, top } = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - left, event.clientY - top];
    const away = (x, y) => Math.hypot(x - px, y - py);
    return ordered((x, y) => (away(x, y) > REACH ? Infinity : away(x, y)))[0] ?? -1;
  }

  function go(dx, dy) {
    const middle = [svg.clientWidth / 2, svg.clientHeight / 2];
    const [px, py] = at < 0 ? middle : pixels()[at];
    const next = ordered((x, y) => {
      if (at < 0) return Math.hypot(x - px, y - py);
      const ahead = (x - px) * dx + (y - py) * dy;
      const aside = Math.abs((x - px) * dy) + Math.abs((y - py) * dx);
      return ahead > 0 && ahead >= aside ? Math.hypot(ahead, 2 * aside) : Infinity;
    })[0];
    if (next !== undefined) choosePoint(next);
  }

  function open() {
    if (at < 0) return;
    const [px, py] = pixels()[at];
    const order = ordered((x, y) => Math.hypot(x - px, y - py)).slice(0, VIEWER_LIST);
    look(order.map((one) => entries[one]), order.indexOf(at));
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  box.onpointermove = (event) => choosePoint(pointed(event));
  box.onpointerleave = () => box.matches(":focus-visible") || choosePoint(-1);
  box.onclick = (event) => {
    choosePoint(pointed(event));
    open();
  };
  box.onkeydown = (event) => {
    if (event.key === "Enter") open();
    else if (ARROWS[event.key]) go(...ARROWS[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (at >= 0) told.textContent = tip.textContent;
  };
  Object.defineProperty(box, "act", { get: () => (at < 0 ? {} : actsOf(entries[at], open)) });
  return make("div", {}, legend(items), box);
}

function legend(items) {
  const list = make("div", { className: "legend" });
  if (!view.attribute) return list;
  const { classes } = attributes.get(view.attribute);
  const classIn = (item) => classOf(data.images[item.images[0]], view.attribute);
  const numbers = new Set(mapped().map(classIn));
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const swatch = make("i", { className: "swatch" });
    swatch.style.background = number < 0 ? "var(--soft)" : `var(--c${number % NUM_COLORS})`;
    const pick = () => filter({ class: view.class === String(number) ? "" : String(number) });
    const button = make("button", { onclick: pick }, swatch, ` ${number < 0 ? "missing" : classes[number]}`);
    button.setAttribute("aria-pressed", String(view.class === String(number)));
    list.append(button);
  }
  const ring = make("span", { className: "soft" }, make("i", { className: "swatch ring" }), " flagged");
  if (items.some((item) => isFlagged(item.images[0]))) list.append(ring);
  return list;
}

// Images on the map: unflagged and flagged ones.
const mapped = () => data.images.flatMap((image, number) => (image.at ? [{ images: [number] }] : []));
const unflagged = new Set(data.sections.browse.map((item) => item.images[0]));
const isFlagged = (number) => !unflagged.has(number);

// The viewer: one image large, with its card; beside it the one that it is compared with.

let viewed = null; // {entries, at, beside, back}

function look(entries, at, beside = null) {
  const viewer = byId("viewer");
  viewed = { entries, at, beside, back: viewer.open ? viewed : null };
  if (!viewer.open) viewer.showModal();
  showViewed();
}

function showViewed() {
  const { entries, at, beside, back } = viewed;
  const entry = entries[at];
  const image = data.images[entry.number];
  byId("viewer-title").textContent = image.id;
  byId("viewer-place").textContent = `${at + 1} of ${entries.length.toLocaleString("en")}`;
  byId("viewer-previous").disabled = at === 0;
  byId("viewer-next").disabled = at === entries.length - 1;
  byId("viewer-back").hidden = !back;
  const figures = [];
  if (beside) figures.push(figure(beside, "Compared with "));
  figures.push(figure(entry, ""));
  if (image.photograph !== undefined) figures.push(wholePhotograph(image));
  const card = unit(entry, true);
  byId("viewer-body").replaceChildren(make("div", { className: "figures" }, ...figures), card);
  byId("viewer").scrollTop = 0;
  card.focus({ preventScroll: true });
}

function figure({ number, item }, before) {
  const image = data.images[number];
  const picture = Object.assign(pictureOf(image), { alt: `Image ${image.id}` });
  const disputed = item.conflict ?? item.asked ?? [item.attribute];
  const labels = make("p", { className: "labels" }, ...labelChips(image, allNames(), disputed));
  const caption = make("figcaption", {}, `${before}${image.id}`, labels);
  return make("figure", {}, picture, ...(before ? [caption] : []));
}

function wholePhotograph({ id, photograph, box }) {
  const [left, top, right, bottom] = box.map((share) => 100 * share);
  const place = make("div", { className: "face" });
  const size = { width: `${right - left}%`, height: `${bottom - top}%` };
  Object.assign(place.style, { left: `${left}%`, top: `${top}%`, ...size });
  const src = `data:image/webp;base64,${data.photographs[photograph]}`;
  const picture = make("img", { src, alt: `Photograph of ${id}` });
  const frame = make("div", { className: "frame" }, picture, place);
  return make("figure", { className: "whole" }, frame, make("figcaption", { textContent: "The whole photograph" }));
}

function moveViewed(by) {
  const at = viewed.at + by;
  if (at < 0 || at >= viewed.entries.length) return;
  viewed.at = at;
  showViewed();
}

function backToViewed() {
  viewed = viewed.back;
  showViewed();
}

// Where one looked is where one goes on.
function closed() {
  if (byId("viewer").open) return; // opened again before this was told
  while (viewed.back) viewed = viewed.back;
  const { id } = data.images[(viewed.beside ?? viewed.entries[viewed.at]).number];
  viewed = null;
  choose(cards().find((card) => card.dataset.image === id));
}
