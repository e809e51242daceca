"use strict";
const $ = (id) => document.getElementById(id);
const sheet = $("sheet"), pen = sheet.getContext("2d"), inputs = document.querySelectorAll("input[name=mode]");
const SHEETS = { predict: [360, 360], read: [720, 240] }, PENS = { predict: 20, read: 11 };
const MAX_BYTES = 4_000_000, MAX_SIDE = 3000; // of a picture that is sent as it is
const TOO_LARGE = "This picture is too large for the service. Make it smaller, or cut out the digits.";
const WHY = {
  ok: "Sure enough to act on.",
  low_confidence: "Not sure enough: a person should look.",
  not_a_digit: "Not all of this looks like digits: a person should look.",
  not_a_zip: "There is no such ZIP code: a person should look.",
  wrong_length: "This has another number of digits: a person should look.",
};
let strokes = []; // each {kind, points}: points on the sheet of the mode that it was drawn in, whatever the mode is now
let brought = null, picture = null; // a file as it is sent, and as the browser shows it, if it can
let at = null, down = false; // the keyboard's pen: where it is, whether it is lowered
let last = 0, waiting = null; // the number of the latest request, and the timer of the next
const pens = new Map(); // which pointer draws which stroke
const mode = () => document.querySelector("input[name=mode]:checked").value;
const busy = (id, on) => $(id).setAttribute("aria-busy", on);
const on = (target, kinds, handler) => kinds.split(" ").forEach((kind) => target.addEventListener(kind, handler));
const hide = (parts) => Object.entries(parts).forEach(([id, hidden]) => { $(id).hidden = hidden; });

function onto(width, height) { // what is drawn next stands as large as fits, in the middle
  const scale = Math.min(sheet.width / width, sheet.height / height);
  pen.setTransform(scale, 0, 0, scale, (sheet.width - width * scale) / 2, (sheet.height - height * scale) / 2);
  return pen;
}
function redraw() {
  pen.resetTransform();
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  if (picture) onto(picture.width, picture.height).drawImage(picture, 0, 0);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "#15181d";
  for (const { kind, points } of strokes) {
    onto(...SHEETS[kind]);
    pen.lineWidth = PENS[kind];
    pen.beginPath();
    pen.moveTo(points[0][0] + 0.1, points[0][1]); // a line without length would not be drawn
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.stroke();
  }
  $("invitation").textContent = brought && !picture ? "A file that cannot be shown" : "Draw here";
  hide({ invitation: Boolean(picture || strokes.length), ring: !at });
}
function begin(points) {
  if (!picture) brought = null; // what cannot be shown cannot be drawn on
  strokes.push({ kind: mode(), points });
  return points;
}
function wide() { // clearly wider than high
  const all = strokes.flatMap(({ points }) => points);
  const extent = (axis) => Math.max(...all.map((point) => point[axis])) - Math.min(...all.map((point) => point[axis]));
  return strokes.length ? extent(0) > 1.2 * extent(1) : picture?.width > 1.2 * picture?.height;
}

function drop() { // what waits or is under way is out of date
  clearTimeout(waiting);
  busy("result", true);
  return (last += 1);
}
function turn() { // the sheet takes the mode's form, and all pens are lifted
  drop();
  pens.clear();
  [at, down] = [null, false];
  [sheet.width, sheet.height] = SHEETS[mode()];
  document.querySelector(".zip").hidden = mode() !== "read";
  redraw();
  if (strokes.length || brought) return soon();
  $("locked").hidden = true;
  say("Nothing has been read yet.");
}
function reset() {
  [strokes, brought, picture] = [[], null, null];
  turn();
}

// Not toBlob: Chromium puts that off for a second after input.
function saved(canvas, type, quality) {
  const url = canvas.toDataURL(type, quality);
  return new Blob([Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (sign) => sign.charCodeAt(0))], { type });
}
// Null for files that the browser cannot show: the service reads more kinds, and says what is wrong with the rest.
const shown = (blob) => createImageBitmap(blob).catch(() => null);
function paint(canvas, image, scale) {
  const context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [Math.max(image.width * scale, 1), Math.max(image.height * scale, 1)];
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // below what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return context;
}
function scaled(blob, image) { // photos are larger than reading needs, and than services take
  const scale = Math.min(1, MAX_SIDE / Math.max(image.width, image.height));
  if (scale === 1 && blob.size <= MAX_BYTES) return blob;
  return saved(paint(document.createElement("canvas"), image, scale).canvas, "image/jpeg", 0.9);
}
async function bring(source) {
  const [blob] = source.files;
  if (!blob) return;
  const number = drop(), image = await shown(blob);
  if (number !== last) return;
  [strokes, picture, brought] = [[], image, image ? scaled(blob, image) : blob];
  turn();
}
async function example(button) {
  document.querySelector(`input[value=${button.dataset.mode}]`).checked = true;
  reset();
  const number = last, { src } = button.firstElementChild;
  const blob = await fetch(src).then((answer) => (answer.ok ? answer.blob() : null)).catch(() => null);
  if (number !== last) return;
  if (blob) bring({ files: [blob] });
  else say("The example cannot be loaded.", "error");
}

function soon() {
  if (strokes.length) {
    drop();
    waiting = setTimeout(() => submit(saved(sheet, "image/png")), 250);
  } else if (brought) submit(brought);
}

async function post(path, blob, kind) {
  const form = new FormData(), key = sessionStorage.getItem("key");
  form.append("image", blob, "image");
  const request = { method: "POST", body: form, headers: key ? { "X-API-Key": key } : {} };
  const gone = () => { throw new Error("The service cannot be reached."); };
  const answer = await fetch(path, request).catch(gone);
  if (answer.ok) return answer[kind]().catch(gone);
  const { detail, title } = await answer.json().catch(() => ({})), { status } = answer;
  const known = { 401: key ? "This key is not accepted." : "This service needs an API key.", 413: TOO_LARGE }[status];
  throw Object.assign(new Error(known || detail || title || `The service answered ${status}.`), { status });
}
async function submit(blob) {
  const number = drop(), one = mode() === "predict";
  if ($("result").hidden) say("Reading …");
  try {
    const reading = await post(one ? "predict" : $("zip").checked ? "read?zip=true" : "read", blob, "json");
    if (number !== last) return;
    show(reading, one);
    await (one ? explain(blob, number) : places(blob, reading.digits, number));
  } catch (error) {
    if (number !== last) return;
    if (error.status === 401) sessionStorage.removeItem("key");
    $("locked").hidden = error.status !== 401;
    say(error.message, "error");
  }
}

function say(text, kind = "") {
  [$("message").textContent, $("message").className] = [text, kind];
  $("result").hidden = kind !== "heard";
}
function percent(share) { // what is rounded to 0 or 100 is not certain
  const text = (100 * share).toFixed(1);
  return `${{ "100.0": ">99.9", "0.0": "<0.1" }[text] ?? text} %`;
}

function show(reading, one) {
  const { digit, decision, reason } = reading, nothing = one && reason === "not_a_digit";
  const name = decision === "accept" ? "accepted" : "needs review";
  const text = nothing ? "?" : String(one ? digit : reading.text) || "?";
  const sure = `${percent(reading.confidence).replace(">", "over ").replace("<", "under ")} sure`;
  say(nothing ? `Does not look like a digit, ${name}` : `${[...text].join(" ")}, ${name}, ${sure}`, "heard");
  let why = reason === "not_a_digit" ? WHY[reason] : `${sure[0].toUpperCase()}${sure.slice(1)}. ${WHY[reason]}`;
  if (nothing) why = `This does not look like a digit: a person should look. The nearest would be ${digit}.`;
  [$("text").textContent, $("why").textContent, $("decision").textContent] = [text, why, name];
  $("decision").className = `badge ${decision}`;
  $("bars").className = one ? "bars" : "bars line";
  $("bars").replaceChildren(...(one ? shares(reading.probabilities) : doubts(reading)));
  hide({ locked: true, unshown: !brought || Boolean(picture), "as-line": !nothing || !wide() });
  hide({ bars: nothing, relative: one, views: !one, places: true });
  busy("result", false);
  busy("views", true); // until those of this reading come
}
const shares = (probabilities) => probabilities.map((share, digit) => bar(digit, `Digit ${digit}`, share, percent(share)));
// The confidences of a line's digits are not calibrated, and show only which is the least sure.
function doubts({ digits, decision }) {
  const least = Math.min(...digits.map(({ confidence }) => confidence));
  return digits.map(({ digit, confidence, runner_up: other }, k) => {
    const doubted = decision === "review" && confidence === least && other;
    const text = doubted ? `${digit}, or ${{ "?": "no digit", "-": "hyphen" }[other] ?? other}` : digit;
    return bar(text, `Place ${k + 1}: ${digit}`, confidence, "");
  });
}
function bar(label, name, share, value) {
  const part = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const row = part("li", { className: "bar" }), meter = part("meter", { value: share, ariaLabel: name });
  row.append(part("span", { textContent: label }), meter, part("span", { textContent: value }));
  return row;
}

// One PNG holds both views side by side: what the network sees, and the heat map.
async function explain(blob, number) {
  try {
    const both = await createImageBitmap(await post("explain", blob, "blob")), side = both.height;
    if (number !== last) return;
    for (const [id, left] of [["seen", 0], ["heat", side]]) {
      $(id).width = $(id).height = side;
      $(id).getContext("2d").drawImage(both, left, 0, side, side, 0, 0, side, side);
    }
    busy("views", false);
  } catch { // the reading stands without them
    if (number === last) $("views").hidden = true;
  }
}

// A line's picture with the box of each digit, blue on white: to be seen on any paper.
async function places(blob, digits, number) {
  const image = await shown(blob);
  if (!image || number !== last) return;
  $("places").hidden = false;
  const scale = ($("placed").clientWidth * devicePixelRatio) / image.width, marks = paint($("placed"), image, scale);
  for (const [colour, width] of [["#fff", 5], ["#0a5ea8", 2]]) {
    [marks.strokeStyle, marks.lineWidth] = [colour, width * devicePixelRatio];
    for (const [left, top, right, bottom] of digits.map(({ box }) => box.map((side) => side * scale)))
      marks.strokeRect(left, top, right - left, bottom - top);
  }
}
function place(event) {
  const box = sheet.getBoundingClientRect();
  return [((event.clientX - box.left) * sheet.width) / box.width, ((event.clientY - box.top) * sheet.height) / box.height];
}

on(sheet, "pointerdown", (event) => {
  if (event.button) return;
  sheet.setPointerCapture(event.pointerId);
  drop();
  [at, down] = [null, false];
  pens.set(event.pointerId, begin([place(event)]));
  redraw();
});
on(sheet, "pointermove", (event) => {
  const moves = event.getCoalescedEvents?.() ?? [];
  pens.get(event.pointerId)?.push(...(moves.length ? moves : [event]).map(place));
  if (pens.size) redraw();
});
on(sheet, "pointerup pointercancel", (event) => { if (pens.delete(event.pointerId) && !pens.size) soon(); });

// Keyboard. The ring shows where the pen is: it lies over the sheet, not on it, so that it is not sent.
on(sheet, "keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if ((!step && event.key !== " ") || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (pens.size || (!step && event.repeat)) return;
  const size = SHEETS[mode()];
  at ??= [size[0] / 2, size[1] / 4];
  if (step) at = at.map((value, axis) => Math.min(Math.max(value + 12 * step[axis], 0), size[axis]));
  else if ((down = !down)) begin([]);
  if (down) {
    drop();
    strokes.at(-1).points.push(at);
  } else if (!step) soon();
  redraw();
  $("ring").className = down ? "down" : "";
  [$("ring").style.left, $("ring").style.top] = at.map((value, axis) => `${(100 * value) / size[axis]}%`);
});
on(sheet, "blur", () => {
  if (down) return turn();
  [at, $("ring").hidden] = [null, true];
});

inputs.forEach((input) => on(input, "change", turn));
document.querySelectorAll("#examples button").forEach((button) => on(button, "click", () => example(button)));
on($("as-line"), "click", () => inputs[1].click());
on($("undo"), "click", () => strokes.pop() ? turn() : reset());
on($("clear"), "click", reset);
on($("zip"), "change", soon);
on($("locked"), "submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", $("key").value);
  soon();
});
on($("file"), "change", (event) => bring(event.target));
on($("file"), "click", (event) => { event.target.value = ""; }); // so that the same file can be brought again
on(document, "paste", (event) => bring(event.clipboardData));
on(document, "dragover dragleave drop", (event) => {
  event.preventDefault();
  document.body.classList.toggle("over", event.type === "dragover" && event.dataTransfer.types.includes("Files"));
  if (event.type === "drop") bring(event.dataTransfer);
});
turn();
