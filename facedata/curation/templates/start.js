// Start: what stands after review.js and browse.js, in one module with them.

let saved = load();
const formerText = csv(former);

byId("save").onclick = save;
byId("undo").onclick = undo;
byId("help").onclick = KEYS["?"];
byId("then").append(Object.assign(byId("commands").cloneNode(true), { id: "" }));
byId("previous").onclick = () => turn(-1);
byId("next").onclick = () => turn(1);
byId("search").oninput = (event) => filter({ search: event.target.value });
byId("attribute").onchange = (event) => filter({ attribute: event.target.value, class: "" });
for (const name of ["kind", "class"]) byId(name).onchange = (event) => filter({ [name]: event.target.value });
for (const name of ["show", "how"])
  for (const button of document.querySelectorAll(`#${name} button`))
    button.onclick = () => filter({ [name]: button.dataset[name] });
byId("viewer-previous").onclick = () => moveViewed(-1);
byId("viewer-next").onclick = () => moveViewed(1);
byId("viewer-back").onclick = backToViewed;
byId("viewer-undo").onclick = undo;
byId("viewer").onclose = closed;
for (const button of document.querySelectorAll("#bulk button"))
  button.onclick = () => bulk(button.dataset.bulk);
document.addEventListener("keydown", onKey);
window.addEventListener("message", (event) => {
  const isAnswer = isInStudio && event.source === window.parent && event.data?.isSaved === true;
  if (isAnswer && handedOver !== null) settle(handedOver);
});
addEventListener("storage", (event) => event.key === STORE && location.reload()); // decided elsewhere
addEventListener("hashchange", () => fromAddress() && go(fromAddress()));

makeTabs();
const first = Object.keys(data.sections).find((name) => items(name).length) ?? "duplicates";
go(fromAddress() ?? first);
