// The page itself: summary, gallery, zoom, review queue.

const chip = (verdict) => node("span", { class: `chip ${verdict}` }, `${SIGNS[verdict]} ${verdict}`);

// ---- Summary

function interval(r) {
  const x = (share) => share * 100;
  return node("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" },
    node("rect", { class: "track", x: 0, y: 4, width: 100, height: 6 }),
    node("rect", { class: "band", x: x(r.low), y: 3, width: Math.max(x(r.high) - x(r.low), 0.6), height: 8 }),
    node("rect", { class: "dot", x: Math.min(x(r.value), 98.8), y: 0, width: 1.2, height: 14 }));
}

function tile(title, value, unit, ...lines) {
  return node("div", { class: "tile" }, node("h3", {}, title), node("div", { class: "value" }, value, unit && node("small", {}, unit)), lines);
}

function rateTile(title, r, of) {
  if (!r) return null;
  if (r.value === null) return tile(title, "–", null, node("p", { class: "quiet" }, `nothing to count: 0 ${of.split(" ").slice(0, 2).join(" ")}`));
  return tile(title, (r.value * 100).toFixed(1), "%", interval(r),
    node("p", {}, `${r.count.toLocaleString("en")} of ${r.of.toLocaleString("en")} ${of}`),
    node("p", { class: "quiet" }, `95 % interval ${(r.low * 100).toFixed(1)} to ${(r.high * 100).toFixed(1)} %`));
}

function summary() {
  byId("title").textContent = report.title;
  byId("subtitle").textContent = `${plural(panels.length, "panel")}, made ${new Date(report.made * 1000).toISOString().replace("T", " ").slice(0, 16)} UTC`;
  const time = latency && tile("Time per panel", (latency.total.p50 / PERSON_MS * 100).toFixed(latency.total.p50 < 100 ? 2 : 1), "%",
    node("p", {}, `of a person's 2 s; median ${milliseconds(latency.total.p50)}`),
    node("p", {}, `95 % of them within ${milliseconds(latency.total.p95)}`),
    node("p", { class: "quiet" }, `${evaluation.images_per_s ? `${evaluation.images_per_s.toFixed(0)} panels per second; ` : ""}a person: ${(panels.length * PERSON_MS / 60000).toFixed(0)} min for all`));
  const { map, iou, f_score, detections } = evaluation;
  const found = map !== undefined && map !== null && tile("Mean average precision", map.toFixed(4), null,
    f_score !== undefined && node("p", {}, `F-score ${f_score.toFixed(4)}${iou ? ` at IoU ${iou}` : ""}`),
    detections && node("p", { class: "quiet" }, `${detections.right} of ${detections.detections} detections right, ${detections.truths} defects labelled`));
  byId("tiles").append(...[
    rateTile("Decided without a person", rates.decided, "panels"), time,
    rateTile("Accuracy", rates.accuracy_rate, "labelled panels"), found || null,
    rateTile("Right when decided", rates.decided_right, "decided panels"),
    rateTile("Missed", rates.miss, "defective panels passed"),
    rateTile("Overkilled", rates.overkill, "good panels failed"),
  ].filter(Boolean));

  if (report.guarantee) {
    byId("guarantee").hidden = false;
    byId("guarantee").append(node("span", { class: "quiet" }, "Guarantee: "), report.guarantee.sentence);
  }

  const bar = node("div", { class: "bar", role: "group", "aria-label": "Verdicts" }, VERDICTS.filter(verdictCount).map((verdict) => {
    const button = node("button", { type: "button", class: verdict, title: `show panels: ${verdict}` }, `${SIGNS[verdict]} ${verdictCount(verdict)}`);
    button.style.flexGrow = verdictCount(verdict);
    button.addEventListener("click", () => showOnly({ verdicts: [verdict] }));
    return button;
  }));
  const failed = panels.filter((panel) => panel.status !== "ok").length;
  byId("verdicts").append(node("div", { class: "box" }, node("h3", {}, "Verdicts"), bar, node("ul", {}, VERDICTS.map((verdict) =>
    node("li", { class: verdict }, `${SIGNS[verdict]} ${verdict} ${verdictCount(verdict)} (${percent(verdictCount(verdict) / (panels.length || 1))})`)),
    failed > 0 && node("li", {}, `of these not inspected: ${failed}`))));
  if (!labelled.length) return;
  const cell = (outcome) => {
    const count = panels.filter((panel) => panel.outcome === outcome).length;
    const wrong = outcome in SHORT && count > 0;
    const button = node("button", { type: "button", class: wrong ? "wrong" : "", title: OUTCOMES[outcome] }, String(count), wrong && node("span", { class: "word" }, ` ${SHORT[outcome]}`));
    button.addEventListener("click", () => showOnly({ outcome }));
    return node("td", { class: "number" }, button);
  };
  const row = (name, cls, outcomes) => {
    const all = panels.filter((panel) => outcomes.includes(panel.outcome)).length;
    return node("tr", {}, node("th", { scope: "row" }, node("span", { class: cls }, "● "), name), outcomes.map(cell), node("td", { class: "number" }, all));
  };
  byId("verdicts").append(node("div", { class: "box" }, node("h3", {}, "Labels against verdicts"), node("table", {},
    node("thead", {}, node("tr", {}, node("th", {}, "label"), VERDICTS.map((v) => node("th", { class: "number", scope: "col" }, v)), node("th", { class: "number", scope: "col" }, "all"))),
    node("tbody", {}, row("good", "good-mark", ["passed", "review-good", "overkilled"]), row("defective", "bad-mark", ["missed", "review-defective", "found"])))));
}

// ---- Pictures

/// COCO's compressed run lengths.
function runLengths(text) {
  const counts = [];
  for (let at = 0; at < text.length;) {
    let value = 0, shift = 0, byte;
    do {
      byte = text.charCodeAt(at++) - 48;
      value |= (byte & 31) << shift;
      shift += 5;
    } while (byte & 32);
    if (byte & 16 && shift < 32) value |= -1 << shift;
    counts.push(value + (counts.length > 2 ? counts[counts.length - 2] : 0));
  }
  return counts;
}

/// Fills the masks into a canvas, each in its kind's colour with a stronger rim.
function maskCanvas(defects) {
  const [height, width] = defects[0].mask.size;
  const canvas = node("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (const { kind, mask } of defects) {
    if (mask.size[0] !== height || mask.size[1] !== width) continue;
    const inside = new Uint8Array(width * height);
    let at = 0;
    runLengths(mask.counts).forEach((n, i) => { if (i % 2) inside.fill(1, at, at + n); at += n; });
    const colour = KIND_COLOURS[Math.max(0, kinds.indexOf(kind)) % 8];
    for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) {
      const i = x * height + y;
      if (!inside[i]) continue;
      const rim = !x || !y || x === width - 1 || y === height - 1 || !inside[i - 1] || !inside[i + 1] || !inside[i - height] || !inside[i + height];
      image.data.set([...colour, rim ? 230 : 50], (y * width + x) * 4);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
const KIND_COLOURS = [...Array(8).keys()].map((i) => {
  const probe = node("i", { class: `k${i}`, hidden: true });
  document.body.append(probe);
  const hex = getComputedStyle(probe).getPropertyValue("--kind").trim();
  probe.remove();
  const long = hex.length === 4 ? [...hex.slice(1)].map((c) => c + c).join("") : hex.slice(1);
  return [0, 2, 4].map((at) => parseInt(long.slice(at, at + 2), 16));
});

const layers = { boxes: true, masks: true, truth: false, unsure: false };
const LAYERS = [["boxes", "Boxes", "b"], ["masks", "Masks", "m"], ["truth", "Labels", "t"], ["unsure", "Low confidence", "l"]]
  .filter(([name]) => ({
    boxes: true, masks: panels.some((p) => p.defects.some((d) => d.mask)), truth: panels.some((p) => p.label && p.label.boxes.length),
    unsure: panels.some((p) => p.defects.some((d) => d.confidence < report.confidence)),
  })[name]);

/// The defects of a frame that are drawn at present, the most confident last, on top.
const drawn = (panel, frame) => panel.defects.filter((d) => (d.frame || 0) === frame
  && d.confidence >= Math.max(layers.unsure ? 0 : report.confidence, filters.confidence)).reverse();

/// A picture with what was found on it; `named` puts a name to each box.
function picture(panel, frame, named) {
  const shot = panel.pictures[frame];
  const wrap = node("div", { class: shot.height > shot.width ? "picture tall" : "picture" });
  wrap.style.aspectRatio = `${shot.width} / ${shot.height}`;
  wrap.append(node("img", { src: `data:image/jpeg;base64,${shot.jpeg}`, alt: "", decoding: "async", draggable: "false" }));
  const defects = drawn(panel, frame);
  const masked = defects.filter((defect) => defect.mask);
  if (layers.masks && masked.length) wrap.append(maskCanvas(masked));
  const svg = node("svg", { viewBox: `0 0 ${shot.width} ${shot.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const rect = ([x0, y0, x1, y1], cls) => node("rect", { class: cls, x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) });
  if (layers.boxes) {
    for (const defect of defects) {
      const shape = (cls) => defect.corners ? node("polygon", { class: cls, points: defect.corners.join(" ") }) : rect(defect.box, cls);
      svg.append(node("g", { class: kindClass(defect.kind) }, shape("rim"), shape("line")));
    }
  }
  if (layers.truth && frame === 0 && panel.label) svg.append(...panel.label.boxes.flatMap(([, box]) => [rect(box, "rim"), rect(box, "truth")]));
  wrap.append(svg);
  if (named && layers.boxes) {
    for (const defect of defects) {
      const [x0, y0, , y1] = defect.box;
      const tag = node("span", { class: `tag ${kindClass(defect.kind)}` }, `${defect.kind} ${defect.confidence.toFixed(2)}`);
      // Above the box, or below it where there is no room.
      const below = y0 < shot.height * 0.05;
      const right = x0 > shot.width * 0.8;
      tag.style.setProperty(right ? "right" : "left", right ? `${100 - defect.box[2] / shot.width * 100}%` : `${x0 / shot.width * 100}%`, "important");
      tag.style.setProperty("top", `${(below ? y1 : y0) / shot.height * 100}%`, "important");
      tag.style.transform = below ? "translateY(3px)" : "translateY(calc(-100% - 3px))";
      wrap.append(tag);
    }
  }
  return wrap;
}

const noPicture = (panel) => node("p", {}, panel.status === "ok" ? "no picture" : `not inspected: ${panel.error || ""}`);

// ---- Gallery

const PAGE = 60;
const filters = { verdicts: new Set(), kind: "", outcome: "", decision: "", confidence: 0, text: "", sort: "uncertainty" };
let chosen = [];
let shown = 0;
let current = null;
const cards = new Map();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) paint(entry.target);
}, { rootMargin: "600px" });

function matches(panel) {
  const { verdicts, kind, outcome, decision, confidence, text } = filters;
  if (verdicts.size && !verdicts.has(panel.verdict)) return false;
  if (kind !== "" && !panel.kinds.has(kind)) return false;
  if (outcome !== "" && panel.outcome !== outcome) return false;
  if (decision !== "" && (decision === "done") !== decisions.made.has(panel.panel)) return false;
  if (confidence > 0 && !panel.defects.some((d) => d.confidence >= confidence && (kind === "" || d.kind === kind))) return false;
  return text === "" || panel.text.includes(text);
}

const names = new Intl.Collator("en", { numeric: true });
const ORDERS = {
  uncertainty: (a, b) => a.certainty - b.certainty,
  score: (a, b) => (b.score ?? -1) - (a.score ?? -1),
  "score-up": (a, b) => (a.score ?? 2) - (b.score ?? 2),
  name: (a, b) => names.compare(a.panel, b.panel),
  time: (a, b) => (b.time ?? -1) - (a.time ?? -1),
};

function refresh() {
  chosen = panels.filter(matches).sort((a, b) => ORDERS[filters.sort](a, b) || a.index - b.index);
  watcher.disconnect();
  cards.clear();
  shown = 0;
  byId("gallery").replaceChildren();
  grow(PAGE);
}

function grow(by) {
  const next = chosen.slice(shown, shown + by);
  byId("gallery").append(...next.map(card));
  shown += next.length;
  byId("more").parentElement.hidden = shown >= chosen.length;
  byId("more").textContent = `Show ${Math.min(PAGE, chosen.length - shown)} more`;
  byId("all").textContent = `Show all ${chosen.length}`;
  const of = chosen.length === panels.length ? "" : ` of ${panels.length.toLocaleString("en")}`;
  const part = shown < chosen.length ? `, the first ${shown} below` : "";
  byId("count").textContent = `${chosen.length.toLocaleString("en")}${of} panel${panels.length === 1 ? "" : "s"}${part}`;
  if (!cards.has(current)) setCurrent(chosen[0] || null);
}

function card(panel) {
  const button = node("button", { type: "button", class: "card", tabindex: "-1", "data-index": panel.index });
  const thumb = node("div", { class: "thumb" });
  button.append(thumb, node("div", { class: "text" }));
  button.addEventListener("click", () => { setCurrent(panel); open(panel); });
  button.addEventListener("focus", () => setCurrent(panel));
  cards.set(panel, button);
  fill(panel);
  watcher.observe(button);
  return node("li", {}, button);
}

/// The words on a card; they change with a decision.
function fill(panel) {
  const button = cards.get(panel);
  if (!button) return;
  const made = decisions.made.get(panel.panel);
  const score = panel.score === null ? "" : panel.score.toFixed(3);
  const marks = [
    panel.outcome in SHORT && node("span", { class: "chip wrong" }, SHORT[panel.outcome]),
    panel.status !== "ok" && node("span", { class: "chip wrong" }, "not inspected"),
    made && node("span", { class: "chip mark" }, `◆ ${decisionText(made)}`),
  ];
  button.querySelector(".text").replaceChildren(
    node("span", { class: "name", title: panel.panel }, node("bdi", {}, panel.panel)),
    node("span", { class: "row" }, chip(panel.verdict), node("span", { class: "score", title: "highest confidence of any defect" }, score)),
    ...(marks.some(Boolean) ? [node("span", { class: "row" }, marks)] : []));
  button.setAttribute("aria-label", [panel.panel, panel.verdict, score, SHORT[panel.outcome], made && `decided ${decisionText(made)}`].filter(Boolean).join(", "));
}

/// Puts the picture into a card, when it comes near the window.
function paint(button) {
  const panel = panels[button.dataset.index];
  watcher.unobserve(button);
  button.querySelector(".thumb").replaceChildren(panel.pictures.length ? picture(panel, 0, false) : noPicture(panel));
}

/// One card at a time is in the tab order; arrow keys go on from it.
function setCurrent(panel) {
  const [old, now] = [cards.get(current), cards.get(panel)];
  if (old) { old.tabIndex = -1; old.removeAttribute("aria-current"); }
  current = panel;
  if (now) { now.tabIndex = 0; now.setAttribute("aria-current", "true"); }
}

function repaint() {
  for (const button of cards.values()) if (button.querySelector(".picture")) paint(button);
  if (zoom.panel) draw();
}

/// Sets all filters anew and goes to the gallery.
function showOnly({ verdicts = [], outcome = "", decision = "" }) {
  Object.assign(filters, { verdicts: new Set(verdicts), kind: "", outcome, decision, confidence: 0, text: "" });
  byId("by-text").value = "";
  syncFilters();
  refresh();
  byId("panels").scrollIntoView();
}

function syncFilters() {
  for (const button of byId("by-verdict").children) button.setAttribute("aria-pressed", filters.verdicts.has(button.dataset.verdict));
  byId("by-kind").value = filters.kind;
  byId("by-outcome").value = filters.outcome;
  byId("by-decision").value = filters.decision;
  byId("by-confidence").value = filters.confidence;
  byId("confidence-value").value = filters.confidence.toFixed(2);
  byId("sort").value = filters.sort;
}

function setUpFilters() {
  byId("by-verdict").append(...VERDICTS.map((verdict) => {
    const button = node("button", { type: "button", "data-verdict": verdict, "aria-pressed": "false" }, node("span", { class: verdict }, SIGNS[verdict]), ` ${verdict} ${verdictCount(verdict)}`);
    button.addEventListener("click", () => {
      if (!filters.verdicts.delete(verdict)) filters.verdicts.add(verdict);
      syncFilters();
      refresh();
    });
    return button;
  }));
  const option = (value, text) => node("option", { value }, text);
  const found = (kind) => panels.filter((panel) => panel.kinds.has(kind)).length;
  byId("by-kind").append(option("", "any"), ...kinds.map((kind) => option(kind, `${kind} (${found(kind)})`)));
  const outcomes = Object.keys(OUTCOMES).map((name) => [name, panels.filter((panel) => panel.outcome === name).length]).filter(([, n]) => n);
  byId("by-outcome").append(option("", "any"), ...outcomes.map(([name, n]) => option(name, `${OUTCOMES[name]} (${n})`)));
  byId("outcome-field").hidden = !labelled.length;
  for (const [id, name] of [["by-kind", "kind"], ["by-outcome", "outcome"], ["by-decision", "decision"], ["sort", "sort"]]) {
    byId(id).addEventListener("change", (event) => { filters[name] = event.target.value; refresh(); });
  }
  byId("by-confidence").addEventListener("input", (event) => {
    filters.confidence = Number(event.target.value);
    byId("confidence-value").value = filters.confidence.toFixed(2);
    refresh();
  });
  byId("by-text").addEventListener("input", (event) => { filters.text = event.target.value.trim().toLowerCase(); refresh(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    filters.sort = "uncertainty";
    showOnly({});
  });
  byId("more").addEventListener("click", () => grow(PAGE));
  byId("all").addEventListener("click", () => grow(chosen.length));
  for (const place of ["layers", "zoom-layers"]) {
    byId(place).append(...LAYERS.map(([name, text, key]) => {
      const button = node("button", { type: "button", "data-layer": name, "aria-pressed": String(layers[name]) }, text, node("kbd", {}, key));
      button.addEventListener("click", () => toggle(name));
      return button;
    }));
  }
  syncFilters();
}

function toggle(name) {
  layers[name] = !layers[name];
  for (const button of document.querySelectorAll(`[data-layer="${name}"]`)) button.setAttribute("aria-pressed", layers[name]);
  repaint();
}

// ---- Zoom

const zoom = { panel: null, list: [], frame: 0, scale: 1 };

function open(panel, list = chosen) {
  Object.assign(zoom, { panel, list, frame: 0, scale: 1 });
  if (!byId("zoom").open) byId("zoom").showModal();
  draw();
  byId("stage").focus();
}

function go(by) {
  const at = zoom.list.indexOf(zoom.panel) + by;
  if (at >= 0 && at < zoom.list.length) open(zoom.list[at], zoom.list);
}

function draw() {
  const { panel, list, frame } = zoom;
  const at = list.indexOf(panel);
  byId("zoom-title").textContent = panel.panel;
  byId("zoom-verdict").replaceChildren(chip(panel.verdict));
  byId("zoom-place").textContent = `${at + 1} of ${list.length}`;
  byId("zoom-back").disabled = at <= 0;
  byId("zoom-next").disabled = at + 1 >= list.length;
  const shot = panel.pictures[frame];
  byId("stage").replaceChildren(shot ? picture(panel, frame, true) : noPicture(panel));
  fit();
  byId("zoom-frames").hidden = panel.pictures.length < 2;
  byId("zoom-frames").replaceChildren(...panel.pictures.map((_, i) => {
    const button = node("button", { type: "button", "aria-pressed": String(i === frame) }, `Frame ${i + 1}`, i === (frame + 1) % panel.pictures.length && node("kbd", {}, "f"));
    button.addEventListener("click", () => { zoom.frame = i; zoom.scale = 1; draw(); });
    return button;
  }));
  byId("facts").replaceChildren(...facts(panel));
  drawDecision();
}

/// The picture fills the stage, or is `scale` times as large.
function fit() {
  const [stage, wrap] = [byId("stage"), byId("stage").querySelector(".picture")];
  if (!wrap) return;
  const { width, height } = zoom.panel.pictures[zoom.frame];
  const side = Math.min((stage.clientWidth - 32) / width, (stage.clientHeight - 32) / height) * zoom.scale;
  wrap.style.width = `${width * side}px`;
  wrap.style.height = `${height * side}px`;
}

function scaleBy(factor) {
  zoom.scale = Math.min(16, Math.max(1, zoom.scale * factor));
  const stage = byId("stage");
  const [x, y] = [(stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth, (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight];
  fit();
  stage.scrollTo(x * stage.scrollWidth - stage.clientWidth / 2, y * stage.scrollHeight - stage.clientHeight / 2);
}

function facts(panel) {
  const rows = [
    ["Reasons", panel.reasons.join("; ")], ["Error", panel.error],
    ["Label", panel.label && (panel.label.text || (panel.label.defective ? "defective" : "good"))],
    ["Outcome", panel.label && OUTCOMES[panel.outcome]],
    ["Score", panel.score === null ? null : panel.score.toFixed(4)],
    ["Size", panel.width && `${panel.width} × ${panel.height} px`],
    ["Time", panel.time === null ? null : `${panel.time.toFixed(1)} ms (model ${panel.ms.infer.toFixed(1)})`],
    ["File", panel.image], ["SHA-256", panel.sha256],
  ].filter(([, value]) => value);
  const made = [node("dl", { class: "facts" }, rows.flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, value)]))];
  const defects = panel.defects.filter((d) => layers.unsure || d.confidence >= report.confidence);
  if (defects.length) {
    made.push(node("table", {}, node("thead", {}, node("tr", {}, ["defect", "conf.", "x, y", "area"].map((h, i) => node("th", { class: i ? "number" : "" }, h)))),
      node("tbody", {}, defects.map((d) => node("tr", {}, node("td", { class: kindClass(d.kind) }, node("i"), d.kind),
        node("td", { class: "number" }, d.confidence.toFixed(3)), node("td", { class: "number" }, `${Math.round(d.box[0])}, ${Math.round(d.box[1])}`),
        node("td", { class: "number" }, d.area_mm2 ? `${d.area_mm2.toFixed(2)} mm²` : `${d.area_px} px`))))));
  }
  if (panel.more) made.push(node("p", { class: "quiet" }, `and ${panel.more} with lower confidence`));
  return made;
}

// ---- Review queue

const queue = panels.filter((panel) => panel.verdict === "review");

function drawDecision() {
  const made = zoom.panel && decisions.made.get(zoom.panel.panel);
  byId("decided").textContent = made ? `Decided: ${decisionText(made)}` : "Not decided yet";
  for (const button of byId("decide").querySelectorAll("[data-decision]")) {
    const same = made && made.decision === button.dataset.decision && (made.kind === null ? button.dataset.kind === undefined : kinds[button.dataset.kind] === made.kind);
    button.setAttribute("aria-pressed", String(Boolean(same)));
  }
}

function drawQueue() {
  const done = queue.filter((panel) => decisions.made.has(panel.panel)).length;
  const others = decisions.made.size - done;
  byId("reviewed").textContent = queue.length ? `${done} of ${queue.length} reviewed${others ? `, and ${plural(others, "other panel")}` : ""}`
    : `No panel needs review, but any panel can be decided${others ? `; ${plural(others, "panel")} decided` : ""}`;
  byId("reviewed-bar").max = Math.max(1, queue.length);
  byId("reviewed-bar").value = done;
  byId("reviewed-bar").hidden = byId("start").hidden = queue.length === 0;
  byId("start").disabled = done === queue.length;
  byId("start").textContent = done ? "Continue review" : "Start review";
  byId("save").disabled = decisions.made.size === 0;
  byId("clear").disabled = decisions.made.size === 0;
  byId("undo").disabled = decisions.history.length === 0;
  byId("storage").textContent = decisions.stored ? "" : "This browser cannot store decisions: save them before you close the page.";
}

function changed(panel) {
  fill(panel);
  drawQueue();
  if (zoom.panel) drawDecision();
}

function decide(decision, kind = null) {
  const panel = byId("zoom").open ? zoom.panel : current;
  if (!panel) return;
  decisions.set(panel, decision, kind);
  changed(panel);
  if (byId("zoom").open && byId("go-on").checked) go(1);
}

function undo() {
  const panel = decisions.undo();
  if (!panel) return;
  changed(panel);
  if (byId("zoom").open) open(panel, zoom.list); else if (cards.has(panel)) cards.get(panel).focus();
}

function saveDecisions() {
  const url = URL.createObjectURL(new Blob([decisions.file()], { type: "application/json" }));
  node("a", { href: url, download: "decisions.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function setUpReview() {
  const button = (text, key, decision, kind) => {
    const made = node("button", { type: "button", "data-decision": decision, "data-kind": kind, "aria-pressed": "false" }, text, key !== null && node("kbd", {}, key));
    made.addEventListener("click", () => decide(decision, kind === undefined ? null : kinds[kind]));
    return made;
  };
  const back = node("button", { type: "button" }, "Undo", node("kbd", {}, "u"));
  back.addEventListener("click", undo);
  byId("decide").append(button("Good", "g", "good"), button("Defective", "d", "defective"),
    ...kinds.map((kind, i) => button(kind, i < 9 ? String(i + 1) : null, "defective", i)), back);
  byId("start").addEventListener("click", () => {
    showOnly({ verdicts: ["review"], decision: "open" });
    if (chosen.length) open(chosen[0]);
  });
  byId("save").addEventListener("click", saveDecisions);
  byId("undo").addEventListener("click", undo);
  byId("clear").addEventListener("click", () => {
    if (!confirm(`Discard ${plural(decisions.made.size, "decision")}?`)) return;
    decisions.clear();
    refresh();
    drawQueue();
  });
  drawQueue();
}

// ---- Keys

const KEYS = [["← → ↑ ↓", "from panel to panel"], ["Enter", "zoom"], ["Esc", "close"], ["+ − 0", "larger, smaller, fitted"], ["f", "next frame"],
  ["b m t l", "boxes, masks, labels, low-confidence defects on and off"], ["g d", "good, defective"], ["1 … 9", "defective, of that kind"], ["u", "undo"], ["/", "text filter"]];

function columns() {
  const tops = [...cards.values()].map((button) => button.offsetTop);
  const first = tops.findIndex((top) => top !== tops[0]);
  return first < 0 ? tops.length : first;
}

function move(by) {
  const at = chosen.indexOf(current) + by;
  if (at < 0 || at >= chosen.length) return;
  if (at >= shown) grow(PAGE);
  const next = cards.get(chosen[at]);
  if (next) next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input:not([type=checkbox])")) return;
  const zoomed = byId("zoom").open;
  const onCard = event.target.closest(".card") !== null;
  const layer = LAYERS.find(([, , key]) => key === event.key);
  const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
  let used = true;
  if (layer) toggle(layer[0]);
  else if (event.key === "u") undo();
  else if (event.key === "/" && !zoomed) byId("by-text").focus();
  else if ((zoomed || onCard) && event.key === "g") decide("good");
  else if ((zoomed || onCard) && event.key === "d") decide("defective");
  else if ((zoomed || onCard) && digit && digit <= kinds.length) decide("defective", kinds[digit - 1]);
  else if (onCard && !zoomed && event.key.startsWith("Arrow")) move({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[event.key]);
  else if (zoomed && event.key === "ArrowLeft") go(-1);
  else if (zoomed && event.key === "ArrowRight") go(1);
  else if (zoomed && (event.key === "+" || event.key === "=")) scaleBy(1.5);
  else if (zoomed && event.key === "-") scaleBy(1 / 1.5);
  else if (zoomed && event.key === "0") scaleBy(0);
  else if (zoomed && event.key === "f" && zoom.panel.pictures.length > 1) { zoom.frame = (zoom.frame + 1) % zoom.panel.pictures.length; draw(); }
  else used = false;
  if (used) event.preventDefault();
});

// ---- Set-up

function setUpZoom() {
  byId("zoom-back").addEventListener("click", () => go(-1));
  byId("zoom-next").addEventListener("click", () => go(1));
  byId("zoom-close").addEventListener("click", () => byId("zoom").close());
  byId("zoom").addEventListener("close", () => {
    const panel = zoom.panel;
    zoom.panel = null;
    const at = chosen.indexOf(panel);
    if (at >= shown) grow(at + 1 - shown);
    if (cards.has(panel)) cards.get(panel).focus();
  });
  const stage = byId("stage");
  stage.addEventListener("wheel", (event) => {
    if (!stage.querySelector(".picture")) return;
    event.preventDefault();
    scaleBy(event.deltaY < 0 ? 1.2 : 1 / 1.2);
  }, { passive: false });
  stage.addEventListener("pointermove", (event) => {
    if (event.buttons === 1 && event.pointerType === "mouse") stage.scrollBy(-event.movementX, -event.movementY);
  });
  window.addEventListener("resize", () => { if (zoom.panel) fit(); });
}

function errorsAndTrace() {
  const failed = panels.filter((panel) => panel.status !== "ok");
  byId("errors").hidden = byId("to-errors").hidden = failed.length === 0;
  byId("error-table").append(node("thead", {}, node("tr", {}, ["panel", "file", "why"].map((head) => node("th", { scope: "col" }, head)))),
    node("tbody", {}, failed.map((panel) => node("tr", {}, node("td", {}, panel.panel), node("td", {}, panel.image || ""), node("td", {}, panel.error || "")))));
  const { model, manifest, policy, provider, version } = report.trace || {};
  const guarantee = Object.entries(report.guarantee || {}).filter(([name]) => name !== "sentence");
  const value = (v) => (typeof v === "object" ? JSON.stringify(v) : String(v));
  const rows = [["panelqc", version], ["model", model], ["manifest", manifest], ["policy", policy || "none: any reported defect fails the panel"],
    ["provider", provider],
    ["limits", limits.fail === null ? null : `review from ${limits.review}, fail from ${limits.fail} (the lowest of all kinds)`],
    ...guarantee.map(([name, v]) => [`guarantee: ${name.replaceAll("_", " ")}`, value(v)])].filter(([, v]) => v);
  byId("trace-list").append(...rows.flatMap(([name, v]) => [node("dt", {}, name), node("dd", {}, node("code", {}, v))]));
  byId("key-list").append(...KEYS.flatMap(([key, what]) => [node("dt", {}, key), node("dd", {}, what)]));
}

function setUpTheme() {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const show = () => { byId("theme").textContent = dark() ? "Light" : "Dark"; };
  try { const kept = localStorage.getItem("panelqc:theme"); if (kept === "dark" || kept === "light") root.dataset.theme = kept; } catch { /* the system's choice */ }
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("panelqc:theme", root.dataset.theme); } catch { /* for this visit only */ }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

setUpTheme();
summary();
byId("figures").append(...[histogram(), riskCoverage(), precisionRecall(), latencyChart()].filter(Boolean));
byId("figures").dataset.count = byId("figures").children.length;
byId("charts").hidden = byId("figures").children.length === 0;
setUpFilters();
setUpReview();
setUpZoom();
errorsAndTrace();
refresh();
byId("print").addEventListener("click", () => window.print());
// What is printed has its pictures, near the window or not.
window.addEventListener("beforeprint", () => { for (const button of cards.values()) if (!button.querySelector(".picture")) paint(button); });
