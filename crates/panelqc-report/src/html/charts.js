// Charts as inline SVG, drawn here: axes with names and units, few round ticks, a title on every mark.

const WIDTH = 600, HEIGHT = 310, LEFT = 62, RIGHT = 24, TOP = 12, BOTTOM = 46;

/// Round numbers between low and high, about `count` of them.
function ticks(low, high, count = 5) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(Number((at * step).toPrecision(10)));
  return found;
}

function figure(title, summary, svg, legend, note) {
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${summary}`);
  const list = legend.map(([cls, text]) => node("li", { class: cls }, node("i"), text));
  return node("figure", {}, node("figcaption", {}, title), svg,
    list.length > 0 && node("ul", { class: "legend" }, list), note && node("p", { class: "quiet" }, note));
}

/// An empty plot. An axis: {name, low, high, ticks, show}, its values mapped by `at` (the identity unless given).
function plot(x, y) {
  const along = (axis, value) => {
    const map = axis.at || ((v) => v);
    return (map(value) - map(axis.low)) / (map(axis.high) - map(axis.low));
  };
  const px = (value) => LEFT + along(x, value) * (WIDTH - LEFT - RIGHT);
  const py = (value) => HEIGHT - BOTTOM - along(y, value) * (HEIGHT - TOP - BOTTOM);
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  for (const value of y.ticks) {
    svg.append(node("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: py(value), y2: py(value) }),
      node("text", { class: "tick", x: LEFT - 6, y: py(value) + 4, "text-anchor": "end" }, y.show(value)));
  }
  for (const value of x.ticks) {
    svg.append(node("line", { class: "axis", x1: px(value), x2: px(value), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }),
      node("text", { class: "tick", x: px(value), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, x.show(value)));
  }
  svg.append(node("path", { class: "axis", d: `M${LEFT},${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}` }),
    node("text", { class: "label", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, x.name),
    node("text", { class: "label", transform: `translate(13 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.name));
  return { svg, px, py };
}

const path = (points, px, py) => points.map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)},${py(y).toFixed(1)}`).join("");

/// At most `most` of the points, first and last among them.
function thin(points, most = 400) {
  const step = Math.ceil(points.length / most);
  return points.filter((_, i) => i % step === 0 || i === points.length - 1);
}

function histogram() {
  const scored = panels.filter((panel) => panel.score !== null);
  if (!scored.length) return null;
  const BINS = 40;
  const bin = (list) => {
    const bins = new Array(BINS).fill(0);
    for (const panel of list) bins[Math.min(BINS - 1, Math.floor(panel.score * BINS))] += 1;
    return bins;
  };
  const known = scored.filter((panel) => panel.label);
  const up = bin(known.length ? known.filter((panel) => !panel.label.defective) : scored);
  const down = bin(known.filter((panel) => panel.label.defective));
  const tops = [Math.max(...up), Math.max(...down)];
  const log = (v) => Math.sign(v) * Math.log10(1 + Math.abs(v));
  const marks = [];
  for (let n = 1; n <= Math.max(...tops, 1); n *= 10) {
    if (n <= tops[0]) marks.push(n);
    if (n <= tops[1]) marks.push(-n);
  }
  const y = { name: "panels (log scale)", low: -tops[1] * 1.15, high: Math.max(tops[0], tops[1] ? 0.5 : 1) * 1.4, at: log,
    ticks: [0, ...marks], show: (v) => String(Math.abs(v)) };
  const { svg, px, py } = plot({ name: "highest confidence of any defect on the panel", low: 0, high: 1, ticks: ticks(0, 1), show: (v) => v.toFixed(1) }, y);
  const bars = (bins, sign, cls, what) => bins.forEach((n, i) => {
    if (!n) return;
    const [from, to] = [py(0), py(sign * n)].sort((a, b) => a - b);
    svg.append(node("rect", { class: cls, x: px(i / BINS) + 0.5, width: px(1 / BINS) - px(0) - 1, y: from, height: to - from },
      node("title", {}, `${plural(n, `${what} panel`)} from ${(i / BINS).toFixed(3)} to ${((i + 1) / BINS).toFixed(3)}`)));
  });
  bars(up, 1, known.length ? "good" : "neutral", known.length ? "good" : "");
  bars(down, -1, "bad", "defective");
  svg.append(node("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: py(0), y2: py(0) }));
  const both = limits.review === limits.fail;
  for (const name of both ? ["fail"] : ["review", "fail"]) {
    const at = limits[name];
    if (at === null) continue;
    const end = at > 0.75;
    svg.append(node("line", { class: "limit", x1: px(at), x2: px(at), y1: TOP, y2: HEIGHT - BOTTOM }),
      node("text", { x: px(at) + (end ? -5 : 5), y: TOP + (name === "fail" ? 24 : 10), "text-anchor": end ? "end" : "start" }, `${name} ≥ ${Number(at.toFixed(3))}`));
  }
  const legend = known.length ? [["good", `good (${known.filter((p) => !p.label.defective).length}), upward`],
    ["bad", `defective (${known.filter((p) => p.label.defective).length}), downward`]] : [];
  return figure("Confidence of the panels", `${scored.length} panels in ${BINS} bins`, svg, legend,
    limits.fail === null ? null : "Dashed: the policy's lowest limits. Good panels to the right of them cost work; defective panels to the left slip through.");
}

/// [coverage, risk] of the labelled panels when the most certain ones are decided, by the middle of the limits.
function riskCurve() {
  const sorted = labelled.filter((panel) => panel.score !== null).sort((a, b) => b.certainty - a.certainty);
  const points = [];
  let wrong = 0;
  sorted.forEach((panel, i) => {
    wrong += panel.label.defective !== panel.score >= TURN;
    // Panels of the same certainty are decided together.
    if (i + 1 === sorted.length || sorted[i + 1].certainty < panel.certainty) points.push([(i + 1) / labelled.length, wrong / (i + 1)]);
  });
  return points;
}

function riskCoverage() {
  // Not the evaluation's curve: its centre is the model's own limit, and the policy's dot would lie beside it.
  const points = riskCurve();
  if (points.length < 2) return null;
  const now = rates.decided_right && rates.decided_right.of > 0
    ? [rates.decided_right.of / (labelled.length || panels.length), 1 - rates.decided_right.value] : null;
  const high = Math.min(1, Math.max(0.02, ...points.map((p) => p[1]), now ? now[1] : 0) * 1.15);
  const shown = (v) => percent(v, high < 0.04 ? 1 : 0);
  const { svg, px, py } = plot({ name: "share of panels decided without a person", low: 0, high: 1, ticks: ticks(0, 1), show: (v) => percent(v, 0) },
    { name: "wrong, of those decided", low: 0, high, ticks: ticks(0, high), show: shown });
  svg.append(node("path", { class: "line neutral", d: path(thin(points), px, py) }));
  const legend = [["neutral", "if the most certain panels were decided and the rest left to a person"]];
  if (now) {
    svg.append(node("g", { class: "bad" }, node("circle", { class: "point", cx: px(now[0]), cy: py(now[1]), r: 6 },
      node("title", {}, `this policy: ${percent(now[0])} decided, ${percent(now[1], 2)} of them wrong`))));
    legend.push(["bad", `this policy: ${percent(now[0])} decided, ${percent(now[1], 2)} of them wrong`]);
  }
  return figure("Risk and coverage", `${points.length} points`, svg, legend);
}

/// [recall, precision, confidence] of panels called defective, from their scores and labels.
function panelCurve() {
  const sorted = labelled.filter((panel) => panel.score !== null).sort((a, b) => b.score - a.score);
  const all = sorted.filter((panel) => panel.label.defective).length;
  if (!all || all === sorted.length) return null;
  let right = 0;
  const points = [];
  sorted.forEach((panel, i) => {
    right += panel.label.defective;
    if (i + 1 === sorted.length || sorted[i + 1].score < panel.score) points.push([right / all, right / (i + 1), panel.score]);
  });
  return points;
}

function precisionRecall() {
  const given = evaluation.curves && evaluation.curves.precision_recall;
  const whole = panelCurve();
  const curves = given
    ? Object.entries(given).filter(([, points]) => points.length > 0).map(([kind, points]) => [kind, points.map((p) => [p.recall, p.precision])])
    : whole ? [["", whole]] : [];
  if (!curves.length) return null;
  // The tail, where precision falls while nothing more is found, would press the rest into a corner.
  const lows = curves.flatMap(([, points]) => points.filter((p) => p[0] <= 0.9 * Math.max(...points.map((q) => q[0]))).map((p) => p[1]));
  const low = Math.max(0, Math.min(0.8, Math.floor(Math.min(...lows, 0.8) * 10) / 10));
  const { svg, px, py } = plot(
    { name: given ? "recall: found, of all defects" : "recall: called defective, of all defective panels", low: 0, high: 1, ticks: ticks(0, 1), show: (v) => v.toFixed(1) },
    { name: given ? "precision: right, of all found" : "precision: right, of all called defective", low, high: 1, ticks: ticks(low, 1, 4), show: (v) => v.toFixed(low >= 0.5 ? 2 : 1) });
  svg.append(node("defs", {}, node("clipPath", { id: "pr-clip" }, node("rect", { x: LEFT, y: TOP - 3, width: WIDTH - LEFT - RIGHT + 3, height: HEIGHT - TOP - BOTTOM + 3 }))));
  for (const [kind, points] of curves) {
    const ordered = [...points].sort((a, b) => a[0] - b[0] || b[1] - a[1]);
    const cls = kind === "" ? "neutral" : `kind-line ${kindClass(kind)}`;
    svg.append(node("path", { class: `line ${cls}`, "clip-path": "url(#pr-clip)", d: path(thin(ordered), px, py) }, kind !== "" && node("title", {}, kind)));
  }
  const ap = (kind) => evaluation.per_kind && evaluation.per_kind[kind] ? ` (AP ${evaluation.per_kind[kind].ap.toFixed(3)})` : "";
  const legend = given ? curves.map(([kind]) => [`kind ${kindClass(kind)}`, `${kind}${ap(kind)}`]) : [];
  return figure("Precision and recall", `${curves.length} curves`, svg, legend, low > 0 ? `The precision axis starts at ${low.toFixed(1)}.` : null);
}

function latencyChart() {
  if (!latency) return null;
  const rows = [...STAGES, "total"].filter((stage) => latency[stage]);
  const high = Math.max(...rows.map((stage) => latency[stage].p99)) || 1;
  const left = 88, right = 128, row = 40;
  const height = TOP + rows.length * row + 44;
  const px = (ms) => left + (ms / (high * 1.02)) * (WIDTH - left - right);
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${height}` });
  const bottom = TOP + rows.length * row;
  for (const value of ticks(0, high, 4)) {
    svg.append(node("line", { class: "grid", x1: px(value), x2: px(value), y1: TOP, y2: bottom }),
      node("text", { class: "tick", x: px(value), y: bottom + 16, "text-anchor": "middle" }, value));
  }
  rows.forEach((stage, i) => {
    const y = TOP + i * row + 9, times = latency[stage];
    for (const part of ["p99", "p95", "p50"]) {
      svg.append(node("rect", { class: part, x: left, y, width: Math.max(1, px(times[part]) - left), height: 22, rx: 2 },
        node("title", {}, `${stage} ${part}: ${times[part].toFixed(2)} ms`)));
    }
    const digits = (ms) => ms.toFixed(ms < 10 ? 1 : 0);
    svg.append(node("text", { x: left - 8, y: y + 15, "text-anchor": "end", class: stage === "total" ? "label" : "" }, stage),
      node("text", { x: WIDTH - 4, y: y + 15, "text-anchor": "end" }, `${digits(times.p50)} / ${digits(times.p95)} / ${digits(times.p99)} ms`));
  });
  svg.append(node("line", { class: "axis", x1: left, x2: left, y1: TOP, y2: bottom }),
    node("text", { class: "label", x: (left + WIDTH - right) / 2, y: bottom + 34, "text-anchor": "middle" }, "milliseconds per panel"));
  return figure("Time by stage", `median ${latency.total.p50.toFixed(1)} ms`, svg,
    [["p50", "median"], ["p95", "95 % are no slower"], ["p99", "99 % are no slower"]]);
}
