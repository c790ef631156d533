// The page: what it was made with, decisions, cards, keys. In one module with browse.js and start.js.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const STORE = `evenface-review:${data.dataset}`;
const IMAGES_A_PAGE = 60;
const TILES_A_PAGE = 240;
const CARD = ".unit, .tile, .map"; // what keys act on
const MISSING = "NA"; // the value of a label that is taken away
const COLUMNS = ["image_id", "action", "attribute", "value", "note"];
const attributes = new Map(data.attributes.map((one, place) => [one.name, { ...one, place }]));

const SECTIONS = {
  duplicates: {
    title: "Duplicates",
    about:
      "Pictures that are there more than once. Disputed labels are marked; the dot tells what happens to an" +
      " image if you do nothing.",
  },
  label_issues: {
    title: "Doubtful labels",
    about:
      "A classifier that did not learn from these images believes another label, the worst first. Keep says" +
      " that the given label is right.",
  },
  non_faces: {
    title: "No face found",
    about:
      "The detector saw no face, or was not sure enough; what it took for a face most is first. It knows" +
      " photographs: on drawings it errs.",
  },
  several_faces: { title: "Several faces", about: "A second face beside the main one." },
  unflagged: {
    title: "A sample of the rest",
    about:
      "Images that nothing flagged, drawn by chance. Decide about them as about the others: where flagged images" +
      " alone are looked at, what happens to be flagged is corrected more often than the rest.",
  },
  browse: {
    title: "Browse",
    about:
      "Images that nothing flagged, in small: by class, or on a map on which like ones lie near each other, the" +
      " flagged ones, too. Choose one to decide about it.",
  },
  rejected: { title: "Not usable", about: "Rows and files that gave no image: they cannot be kept." },
  list: {
    title: "Your list",
    about:
      `All rows that curation.csv will have. Save it, put it at ${data.saved_as} and run again:` +
      " the list wins over every check.",
  },
};

// Decisions: rows of the reviewer's list by image, each {action, attribute, value, note}. A row
// without an action holds a note that waits for a decision.

const former = new Map(); // as in the list that the page was made with
const current = new Map();
const past = []; // [[image, rows before], ...] of each change

const rowsOf = (image) => current.get(image) ?? [];
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function load() {
  for (const { image_id, action, attribute, value, note } of data.rows) {
    if (!former.has(image_id)) former.set(image_id, []);
    former.get(image_id).push({ action, attribute, value, note });
  }
  for (const [image, rows] of former) current.set(image, rows);
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    warn("This browser does not remember decisions for this page: save before you close it.");
  }
  // A change counts while the list still says what it was made from: a list edited since wins.
  for (const [image, from, to] of stored.changes ?? [])
    if (same(from, former.get(image) ?? [])) current.set(image, to.filter(isPossible));
  return stored.saved ?? null;
}

// Tell whether a row can be followed: the ranges may have changed since it was stored.
function isPossible({ action, attribute, value }) {
  return action !== "relabel" || (attributes.has(attribute) && !problem(attributes.get(attribute), value));
}

function remember() {
  const changes = [];
  for (const [image, rows] of current) {
    const from = former.get(image) ?? [];
    if (!same(from, rows)) changes.push([image, from, rows]);
  }
  try {
    localStorage.setItem(STORE, JSON.stringify({ changes, saved }));
  } catch {
    warn("This browser does not remember decisions for this page: save before you close it.");
  }
}

function warn(text) {
  const warning = byId("warning");
  warning.textContent = text;
  warning.hidden = false;
}

function change(edits) {
  edits = edits.filter(([image, rows]) => !same(rows, rowsOf(image)));
  if (!edits.length) return;
  past.push(edits.map(([image]) => [image, rowsOf(image)]));
  apply(edits);
}

function apply(edits) {
  for (const [image, rows] of edits) current.set(image, rows);
  remember();
  for (const [image] of edits)
    for (const { element, update } of updates.get(image) ?? []) if (element.isConnected) update();
  if (view.section === "list") render();
  summarize();
}

function undo() {
  const edits = past.pop();
  if (edits) apply(edits);
}

const noteOf = (image) => rowsOf(image).find((row) => row.note)?.note ?? "";
const isAction = (row) => row.action === "keep" || row.action === "drop";
const actionOf = (image) => rowsOf(image).find(isAction)?.action ?? "";
const labelOf = (image, attribute) =>
  rowsOf(image).find((row) => row.action === "relabel" && row.attribute === attribute)?.value;
const decided = (image) => rowsOf(image).some((row) => row.action);

// Return an image's rows without those that `gone` picks, and with another if there is an action.
function withRow(image, gone, action = "", attribute = "", value = "") {
  const rows = rowsOf(image).filter((row) => row.action && !gone(row));
  const note = noteOf(image);
  if (action || (!rows.length && note)) rows.push({ action, attribute, value, note });
  return rows;
}

function withAction(image, action) {
  return withRow(image, isAction, action === actionOf(image) ? "" : action);
}

function withLabel(image, attribute, value) {
  const gone = (row) => row.action === "relabel" && row.attribute === attribute;
  return value === undefined ? withRow(image, gone) : withRow(image, gone, "relabel", attribute, value);
}

function withNote(image, note) {
  const rows = rowsOf(image).filter((row) => row.action);
  if (rows.length) return rows.map((row) => ({ ...row, note }));
  return note ? [{ action: "", attribute: "", value: "", note }] : [];
}

// The list as CSV, as `facedata curate` reads it.

function listed(decisions = current) {
  const rows = [];
  for (const [image_id, of_image] of decisions)
    for (const row of of_image) if (row.action) rows.push({ image_id, ...row });
  return rows;
}

function csv(decisions = current) {
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = listed(decisions).map((row) => COLUMNS.map((name) => cell(row[name])).join(","));
  return [COLUMNS.join(","), ...lines].map((line) => `${line}\n`).join("");
}

// In the studio's frame the list goes to the studio, which answers once it lies where it belongs.
const isInStudio = window.parent !== window && location.protocol === "http:";
let handedOver = null;

function settle(text) {
  saved = text;
  remember();
  summarize();
}

function save() {
  const text = csv();
  if (isInStudio) {
    handedOver = text;
    window.parent.postMessage({ curation: text }, location.origin);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = "curation.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  settle(text);
  const rows = count(listed().length, "row");
  byId("saved-count").textContent = `curation.csv has ${rows}.`;
  byId("saved-dialog").showModal();
}

// The page.

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const words = (name) => name.replaceAll("_", " ");

const view = { section: "", page: 0, show: "all", attribute: "", class: "", kind: "", search: "", how: "grid" };
let updates = new Map(); // image -> functions that show its decision, and elements in which they do

function watch(image, element, update) {
  if (!updates.has(image)) updates.set(image, []);
  updates.get(image).push({ element, update });
  update();
}

const onMap = () => view.section === "browse" && view.how === "map";

function items(section) {
  if (section === "list") return listed();
  if (section === "rejected") return data.rejected;
  return data.sections[section];
}

// Attributes that are set to change one: itself, or those that it is made of.
function settable(name) {
  const { sources } = attributes.get(name) ?? { sources: [] };
  return sources.length ? [...new Set(sources.flatMap(settable))] : attributes.has(name) ? [name] : [];
}

function isDone(section, item) {
  if (section !== "label_issues") return item.images.some((place) => decided(data.images[place].id));
  const image = data.images[item.images[0]].id;
  const isSet = (name) => labelOf(image, name) !== undefined;
  return actionOf(image) !== "" || settable(item.attribute).some(isSet);
}

function selected() {
  const { section, show, attribute, kind, search } = view;
  const text = search.toLowerCase();
  const named = (id) => id.toLowerCase().includes(text);
  if (section === "list") return items(section).filter((row) => named(row.image_id));
  if (section === "rejected") return items(section).filter((one) => named(one.id));
  const isOf = (item) => {
    if (section === "browse")
      return view.class === "" || classOf(data.images[item.images[0]], attribute) === Number(view.class);
    return !attribute || item.attribute === attribute || item.conflict?.includes(attribute);
  };
  return (onMap() ? mapped() : items(section)).filter(
    (item) =>
      (show === "all" || isDone(section, item) === (show === "done")) &&
      isOf(item) &&
      (!kind || item.kind === kind) &&
      (!text || item.images.some((place) => named(data.images[place].id))),
  );
}

// Return the items of each page; a page has so many images, and at least one item.
function pages(chosen) {
  if (onMap()) return [chosen];
  const most = view.section === "browse" ? TILES_A_PAGE : IMAGES_A_PAGE;
  const found = [[]];
  let size = 0;
  for (const item of chosen) {
    const images = item.images?.length ?? 1;
    if (size && size + images > most) {
      found.push([]);
      size = 0;
    }
    found.at(-1).push(item);
    size += images;
  }
  return found;
}

function render() {
  const { section } = view;
  const chosen = selected();
  const all = pages(chosen);
  view.page = Math.min(view.page, all.length - 1);
  const shown = all[view.page];
  const before = all.slice(0, view.page).reduce((sum, page) => sum + page.length, 0);
  updates = new Map();

  const content = byId("content");
  if (!shown.length) content.replaceChildren(make("p", { className: "empty", textContent: nothing() }));
  else if (section === "list") content.replaceChildren(list(shown));
  else if (section === "rejected") content.replaceChildren(rejected(shown));
  else if (section === "browse") content.replaceChildren(onMap() ? makeMap(shown) : grid(shown));
  else if (section === "duplicates")
    content.replaceChildren(make("div", { className: "clusters" }, ...shown.map(cluster)));
  else
    content.replaceChildren(
      make("div", { className: "units" }, ...shown.map((item) => unit(entryOf(item.images[0], item)))),
    );

  const hidden = data.hidden[section] ?? 0;
  byId("about").textContent =
    SECTIONS[section].about +
    (hidden ? ` ${hidden.toLocaleString("en")} more are not on this page (review.${section === "browse" ? "browse" : "max_images"}).` : "");
  byId("range").textContent = chosen.length
    ? `${before + 1}–${before + shown.length} of ${chosen.length.toLocaleString("en")}`
    : "";
  byId("previous").disabled = view.page === 0;
  byId("next").disabled = view.page === all.length - 1;
  byId("pager").hidden = all.length === 1;
  renderFilters();
}

function nothing() {
  if (view.section === "list") return "No row yet.";
  return items(view.section).length ? "Nothing that fits the filters." : "Nothing was flagged here.";
}

function renderFilters() {
  const { section } = view;
  const cards = section !== "list" && section !== "rejected";
  for (const button of document.querySelectorAll("#show button"))
    button.setAttribute("aria-pressed", String(button.dataset.show === view.show));
  byId("show").hidden = !cards;
  const isBrowse = section === "browse";
  byId("bulk").hidden = !cards || section === "duplicates" || isBrowse;
  byId("how").hidden = !isBrowse;
  for (const button of document.querySelectorAll("#how button"))
    button.setAttribute("aria-pressed", String(button.dataset.how === view.how));
  const names = cards ? items(section).flatMap((item) => item.conflict ?? item.attribute ?? []) : [];
  if (isBrowse) names.push(...classed().map((one) => one.name));
  options("attribute", names, view.attribute, !isBrowse);
  byId("by-class").hidden = !isBrowse || !view.attribute;
  if (isBrowse && view.attribute) classes();
  options("kind", cards ? items(section).flatMap((item) => item.kind ?? []) : [], view.kind);
  byId("by-attribute").hidden = !names.length;
  byId("by-kind").hidden = section !== "duplicates";
}

function options(id, values, chosen, isCounted = true) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const select = byId(id);
  select.replaceChildren(
    make("option", { value: "", textContent: "any" }),
    ...[...counts].map(([value, number]) =>
      make("option", { value, textContent: isCounted ? `${value} (${number})` : value }),
    ),
  );
  select.value = chosen;
}

// Fill the list of classes; values of options are numbers: any text may be the name of a class.
function classes() {
  const { name, classes: names } = attributes.get(view.attribute);
  const counts = new Map(names.map((_, number) => [number, 0]));
  for (const { images } of onMap() ? mapped() : items("browse")) {
    const number = classOf(data.images[images[0]], name);
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  const select = byId("class");
  select.replaceChildren(
    make("option", { value: "", textContent: "any" }),
    ...[...counts].map(([value, number]) =>
      make("option", { value, textContent: `${names[value] ?? "missing"} (${number})` }),
    ),
  );
  select.value = view.class;
}

function summarize() {
  const rows = listed();
  const unsaved = ![saved, formerText].includes(csv());
  const button = byId("save");
  button.textContent = `Save curation.csv (${count(rows.length, "row")})`;
  button.classList.toggle("unsaved", unsaved);
  byId("undo").disabled = !past.length;
  const large = data.images.filter((image) => !image.is_small);
  const done = large.filter((image) => decided(image.id)).length;
  const others = data.images.filter((image) => image.is_small && decided(image.id)).length;
  byId("progress").textContent =
    `${done.toLocaleString("en")} of ${count(large.length, "image")} decided` +
    (others ? ` and ${count(others, "other")}` : "") +
    (unsaved ? " · not saved yet" : "");
  for (const tab of byId("tabs").children) {
    const name = tab.dataset.section;
    const number = name === "list" ? rows.length : items(name).length + (data.hidden[name] ?? 0);
    tab.querySelector("small").textContent = number.toLocaleString("en");
    tab.setAttribute("aria-selected", String(name === view.section));
  }
}

function makeTabs() {
  for (const [name, { title }] of Object.entries(SECTIONS)) {
    const tab = make("button", { textContent: title, onclick: () => go(name) }, make("small"));
    tab.setAttribute("role", "tab");
    tab.dataset.section = name;
    byId("tabs").append(tab);
  }
}

function go(section) {
  if (section !== view.section) {
    const attribute = section === "browse" ? (classed()[0]?.name ?? "") : "";
    Object.assign(view, { section, page: 0, attribute, class: "", kind: "" });
  }
  location.replace(`#${section}`);
  render();
  summarize();
  scrollTo(0, 0);
}

// Return the section that the address names, if it is another one.
function fromAddress() {
  const name = location.hash.slice(1);
  return Object.hasOwn(SECTIONS, name) && name !== view.section ? name : null;
}

function turn(step) {
  view.page += step;
  render();
  scrollTo(0, 0);
}

// Cards.

function cluster(item) {
  const kinds = {
    exact: "equal pixels",
    near: `alike, ${count(item.distance, "differing bit")} of 64`,
    mirror: "mirrored",
    altered: "one altered: cropped, turned, captioned",
  };
  const disputed = item.conflict.length ? ` · labels disagree: ${item.conflict.join(", ")}` : "";
  const units = item.images.map((place) => unit(entryOf(place, item)));
  return make(
    "section",
    { className: item.conflict.length ? "cluster disputed" : "cluster" },
    make("h2", { textContent: `${kinds[item.kind]}${disputed}` }),
    make("div", { className: "row" }, ...units),
  );
}

const shown = (value) => (value === null ? "missing" : String(value));

// Return the card of an image; in the viewer, where its picture is beside it, it tells all labels.
function unit(entry, isInViewer = false) {
  const { number, item } = entry;
  const image = data.images[number];
  const { id } = image;
  const relevant = item.conflict ?? item.asked ?? (item.attribute ? [item.attribute] : []);
  const card = make("article", { tabIndex: -1 });
  card.dataset.image = id;
  card.setAttribute("aria-label", id);

  const button = (className, textContent, onclick) => make("button", { className, textContent, onclick });
  const box = (action, title) => {
    const input = make("input", { type: "checkbox", onchange: () => change([[id, withAction(id, action)]]) });
    return { input, label: make("label", { className: action }, input, ` ${title}`) };
  };
  const keep = box("keep", "Keep");
  const drop = box("drop", "Drop");
  const suggestion = suggest(id, item);
  const more = button("", "Label", () => {
    if (!editors.length) fill();
    open(editor);
  });
  const noted = button("", "Note", () => open(note));
  const labels = make("p", { className: "labels" });
  const editor = make("div", { className: "editor", hidden: true });
  const matters = new Set(relevant.flatMap(settable));
  const fields = [...attributes.values()].filter((one) => !one.sources.length);
  fields.sort((a, b) => matters.has(b.name) - matters.has(a.name));
  let editors = []; // made when they are wanted: there may be many
  const note = make("textarea", { className: "note", rows: 1, placeholder: "Note", hidden: true });
  note.setAttribute("aria-label", `Note on ${id}`);
  note.onchange = () => change([[id, withNote(id, note.value)]]);

  function fill() {
    editors = fields.map((one) => field(image, one));
    for (const one of editors) editor.append(...one.parts);
    update();
  }

  function open(part) {
    part.hidden = false;
    (part.matches("textarea") ? part : part.querySelector("select, input"))?.focus();
  }

  function update() {
    const action = actionOf(id);
    const changed = fields.some((one) => labelOf(id, one.name) !== undefined);
    card.className = `unit ${action || (changed ? "relabel" : "")}`;
    keep.input.checked = action === "keep";
    drop.input.checked = action === "drop";
    suggestion?.update();
    for (const one of editors) one.update();
    note.value = noteOf(id);
    note.hidden &&= !note.value;
    const told = isInViewer ? allNames() : item.attribute ? [] : relevant;
    labels.replaceChildren(...labelChips(image, told, relevant));
  }

  const now = make("span", {
    className: image.kept ? "stays" : "goes",
    textContent: image.kept ? "stays" : `goes: ${words(image.reason)}`,
  });
  const enlarge = button("picture", "", () => look(...entriesAt(card)));
  enlarge.append(Object.assign(pictureOf(image), { alt: `Image ${id}` }));
  enlarge.title = "Enlarge (Z)";
  const whole = button("link", "Whole photograph", enlarge.onclick);
  const head = [enlarge, make("span", { className: "name", textContent: id, title: id })];
  if (image.photograph !== undefined) head.push(whole);
  card.append(
    ...(isInViewer ? [] : head),
    ...findings(image, item),
    labels,
    make("p", { className: "now", title: image.detail }, now, more, noted),
    ...(suggestion ? [suggestion.button] : []),
    make("div", { className: "acts" }, keep.label, drop.label),
    editor,
    note,
    ...similar(entry, relevant),
  );
  card.entry = entry;
  card.act = { keep: keep.input, drop: drop.input, suggest: suggestion?.button, relabel: more, note: noted };
  if (!isInViewer) card.act.enlarge = enlarge;
  watch(id, card, update);
  return card;
}

// Return all images that have a card on the page, and the place of one of them.
function entriesAt(card) {
  const all = cards();
  return [all.map((one) => one.entry), all.indexOf(card)];
}

function findings(image, item) {
  const line = (...parts) => [make("p", { className: "finding" }, ...parts)];
  if (item.attribute)
    return line(
      ...(problem(attributes.get(item.attribute), item.suggested)
        ? [`${item.attribute}: ${item.given} is doubtful`]
        : [`${item.attribute}: ${item.given} → `, make("b", { textContent: `${item.suggested}?` })]),
      make("span", { className: "soft", textContent: ` ${item.score.toFixed(3)}` }),
    );
  if (view.section === "non_faces")
    return line(image.probability ? `face probability ${image.probability.toFixed(3)}` : "nothing like a face");
  if (view.section === "several_faces") return line(`${image.faces} faces found`);
  return [];
}

// Labels as the data set gives them, where they matter, and as the reviewer sets them.
function labelChips(image, relevant, disputed) {
  const isSet = (name) => settable(name).some((source) => labelOf(image.id, source) !== undefined);
  const chosen = data.attributes.filter(({ name }) => relevant.includes(name) || isSet(name));
  return chosen.map(({ name, sources }) => {
    const given = shown(image.labels[attributes.get(name).place]);
    const chip = make("span", {}, make("i", { textContent: `${name} ` }));
    if (!isSet(name)) chip.append(given);
    else chip.append(make("s", { textContent: given }));
    if (isSet(name) && !sources.length) {
      const value = labelOf(image.id, name);
      chip.append(value === MISSING ? "missing" : value);
    }
    chip.className = isSet(name) ? "set" : disputed.includes(name) ? "disputed" : "";
    return chip;
  });
}

// The button that sets the suggested label; none for labels that follow from others.
function suggest(id, item) {
  const attribute = attributes.get(item.attribute);
  if (!attribute || attribute.sources.length || problem(attribute, item.suggested)) return null;
  const isSet = () => labelOf(id, item.attribute) === item.suggested;
  const button = make("button", {
    className: "suggestion",
    textContent: `Set ${item.attribute} to ${item.suggested}`,
    onclick: () => change([[id, withLabel(id, item.attribute, isSet() ? undefined : item.suggested)]]),
  });
  return { button, update: () => button.setAttribute("aria-pressed", String(isSet())) };
}

const isNumber = (text) =>
  /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text));

// Return why a text can be no label of an attribute; "" if it can.
function problem({ classes, range: [low, high] }, text) {
  if (text === MISSING || classes?.includes(text)) return "";
  if (classes) return "no class";
  if (!isNumber(text)) return "no number";
  const isWithin = (low === null || Number(text) >= low) && (high === null || Number(text) <= high);
  return isWithin ? "" : `not within ${low ?? "any"} to ${high ?? "any"}`;
}

// Return a label's field and how to show its value.
function field(image, attribute) {
  const { name, classes, place } = attribute;
  const { id } = image;
  const given = shown(image.labels[place]);
  const set = (value) => change([[id, withLabel(id, name, value)]]);
  let input;
  if (classes) {
    // Values of options are numbers: any text may be the name of a class.
    const values = [undefined, ...classes, MISSING];
    const texts = [`${given} (as given)`, ...classes, "missing"];
    input = make("select", { onchange: () => set(values[Number(input.value)]) });
    input.append(...texts.map((text, i) => make("option", { value: i, textContent: text })));
    input.show = (value) => (input.value = values.indexOf(value));
  } else {
    input = make("input", { placeholder: `${given} (number or ${MISSING})`, inputMode: "decimal" });
    input.oninput = () => {
      const text = input.value.trim();
      input.setCustomValidity(text ? problem(attribute, text) : "");
    };
    input.onchange = () => input.validity.valid && set(input.value.trim() || undefined);
    input.show = (value) => (input.value = value ?? "");
  }
  const label = make("label", { textContent: name });
  input.setAttribute("aria-label", `${name} of ${id}`);
  return { parts: [label, input], update: () => input.show(labelOf(id, name)) };
}

// Tables.

function tableOf(headings, rows) {
  const head = make("tr", {}, ...headings.map((textContent) => make("th", { textContent })));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
  return make("table", {}, head, ...body);
}

function rejected(rows) {
  return tableOf(["Image", "Reason", "Detail"], rows.map((one) => [one.id, words(one.reason), one.detail]));
}

function list(rows) {
  return tableOf(
    ["Image", "Decision", "Attribute", "Value", "Note", ""],
    rows.map((row) => {
      const gone = (one) => one.action === row.action && one.attribute === row.attribute;
      const remove = () => change([[row.image_id, withRow(row.image_id, gone)]]);
      return [
        row.image_id,
        row.action,
        row.attribute,
        row.value,
        row.note,
        make("button", { textContent: "Take back", onclick: remove }),
      ];
    }),
  );
}

// Keys: one card is chosen; an action moves on to the next.

const cards = () => [...document.querySelectorAll("#content .unit, #content .tile")];
const active = () => {
  const root = byId("viewer").open ? byId("viewer-body").querySelector(".unit") : document.activeElement;
  return root?.closest?.(CARD);
};

function choose(card) {
  card?.focus({ preventScroll: true });
  card?.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = cards();
  const at = all.indexOf(active());
  if (at < 0) return choose(all[0]);
  choose(all[at + by]);
}

function stepRow(by) {
  const at = active();
  if (!at) return choose(cards()[0]);
  const box = at.getBoundingClientRect();
  const distance = (card) => {
    const other = card.getBoundingClientRect();
    return Math.abs(other.top - box.top) * 10 + Math.abs(other.left - box.left);
  };
  const beyond = cards().filter((card) => (card.getBoundingClientRect().top - box.top) * by > 8);
  choose(beyond.sort((a, b) => distance(a) - distance(b))[0]);
}

function press(action, moveOn) {
  const button = active()?.act[action];
  button?.click();
  if (button && moveOn) byId("viewer").open ? moveViewed(1) : step(1);
}

const DECIDE = {
  k: () => press("keep", true),
  d: () => press("drop", true),
  s: () => press("suggest", true),
  r: () => press("relabel", false),
  n: () => press("note", false),
  u: undo,
};
const IN_VIEWER = {
  ...DECIDE,
  ArrowLeft: () => moveViewed(-1),
  ArrowRight: () => moveViewed(1),
  z: () => byId("viewer").close(),
};
const KEYS = {
  ...DECIDE,
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  ArrowUp: () => stepRow(-1),
  ArrowDown: () => stepRow(1),
  z: () => press("enlarge", false),
  Enter: () => press("enlarge", false),
  "[": () => view.page > 0 && turn(-1),
  "]": () => !byId("next").disabled && turn(1),
  "?": () => byId("help-dialog").showModal(),
};

function onKey(event) {
  const isViewing = byId("viewer").open;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]:not(#viewer)")) return;
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key !== "Escape") return;
    event.preventDefault(); // leaves the field, not the viewer
    choose(event.target.closest(".unit"));
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const keys = isViewing ? IN_VIEWER : KEYS;
  if (!keys[key] || (key === "Enter" && !event.target.matches(".unit"))) return;
  event.preventDefault();
  keys[key]();
}

function bulk(action) {
  const images = new Set(cards().map((card) => card.dataset.image));
  const open = [...images].filter((image) => !decided(image));
  change(open.map((image) => [image, withAction(image, action)]));
}

// Show what fits other filters.
function filter(changes) {
  Object.assign(view, changes, { page: 0 });
  render();
}
