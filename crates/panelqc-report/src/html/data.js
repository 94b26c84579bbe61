"use strict";
// What the page knows: the panels, the rates, and the decisions of the person who looks at it. Every name in here is
// data: it reaches the page as text, by `node` below, and never as markup.

const report = JSON.parse(document.getElementById("data").textContent);
const PERSON_MS = 2000;
const VERDICTS = ["pass", "review", "fail"];
const SIGNS = { pass: "✓", review: "?", fail: "✕" };
const byId = (id) => document.getElementById(id);

function node(tag, attributes, ...children) {
  const svg = node.svg.has(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
node.svg = new Set(["svg", "g", "path", "rect", "line", "circle", "text", "title", "polygon", "clipPath", "defs"]);

const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const milliseconds = (ms) => (ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);

/// A share with its 95 % interval (Wilson 1927), as the library's `Rate`.
function rate(count, of) {
  if (of === 0) return { count, of, value: null, low: 0, high: 1 };
  const z = 1.959963984540054;
  const p = count / of;
  const scale = 1 / (1 + (z * z) / of);
  const centre = scale * (p + (z * z) / (2 * of));
  const half = scale * z * Math.sqrt((p * (1 - p)) / of + (z * z) / (4 * of * of));
  return { count, of, value: p, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/// Nearest-rank percentiles, as the library's `Percentiles`.
function percentiles(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part) => sorted[Math.max(Math.ceil((sorted.length * part) / 100), 1) - 1];
  return sorted.length ? { p50: at(50), p95: at(95), p99: at(99) } : null;
}

const evaluation = report.evaluation || {};
const limits = { review: report.review_limit, fail: report.fail_limit };
/// The score on which opinions turn: half-way between the limits.
const TURN = limits.fail === null ? report.confidence || 0.5 : (limits.review + limits.fail) / 2;
/// How far a score is from the turn: those that the limits decide are as far as the limits, or further.
const certainty = (score) => Math.abs(score - TURN);

const STAGES = ["decode", "preprocess", "infer", "postprocess"];
const panels = report.panels.map((panel, index) => {
  const shown = panel.defects.filter((defect) => defect.confidence >= report.confidence);
  const label = panel.label || null;
  const outcome = !label ? "unlabelled" : label.defective
    ? { pass: "missed", review: "review-defective", fail: "found" }[panel.verdict]
    : { pass: "passed", review: "review-good", fail: "overkilled" }[panel.verdict];
  return {
    ...panel, index, label, outcome,
    kinds: new Set(shown.map((defect) => defect.kind)),
    time: panel.ms ? STAGES.reduce((sum, stage) => sum + panel.ms[stage], 0) : null,
    certainty: panel.score === null ? -1 : certainty(panel.score),
    text: [panel.panel, panel.image, ...panel.reasons, ...shown.map((d) => d.kind), panel.error].join("\n").toLowerCase(),
  };
});
const labelled = panels.filter((panel) => panel.label);
const OUTCOMES = {
  missed: "missed: defective, passed", overkilled: "overkilled: good, failed", "review-defective": "defective, for review",
  "review-good": "good, for review", found: "found: defective, failed", passed: "good, passed", unlabelled: "no label",
};
const SHORT = { missed: "missed", overkilled: "overkilled" };

/// The kinds that the model knows, then any other that turns up.
const kinds = [...new Set([...report.kinds, ...panels.flatMap((p) => p.defects.map((d) => d.kind))])];
const kindClass = (kind) => `k${Math.max(0, kinds.indexOf(kind)) % 8}`;

const verdictCount = (verdict) => panels.filter((panel) => panel.verdict === verdict).length;
const rates = (() => {
  const count = (outcome) => labelled.filter((panel) => panel.outcome === outcome).length;
  const defective = labelled.filter((panel) => panel.label.defective).length;
  const decided = labelled.filter((panel) => panel.verdict !== "review").length;
  const own = labelled.length === 0 ? {} : {
    decided_right: rate(count("passed") + count("found"), decided),
    miss: rate(count("missed"), defective),
    overkill: rate(count("overkilled"), labelled.length - defective),
  };
  const { accuracy_rate, decided_right, miss, overkill } = evaluation;
  const all = panels.length - verdictCount("review");
  const given = Object.fromEntries(Object.entries({ accuracy_rate, decided_right, miss, overkill }).filter(([, v]) => v));
  return { decided: evaluation.decided || rate(all, panels.length), ...own, ...given };
})();
const latency = evaluation.ms || (() => {
  const timed = panels.filter((panel) => panel.ms);
  if (!timed.length) return null;
  const of = STAGES.map((stage) => [stage, percentiles(timed.map((panel) => panel.ms[stage]))]);
  return { ...Object.fromEntries(of), total: percentiles(timed.map((panel) => panel.time)) };
})();

/// Decisions by panel id, kept in this browser under a name that belongs to these panels and this model.
const decisions = {
  made: new Map(),
  history: [],
  stored: true,
  get key() {
    // FNV-1a over the ids: reports of other panels by the same model have decisions of their own.
    let hash = 0x811c9dc5;
    for (const c of panels.map((panel) => panel.panel).join("\n")) hash = Math.imul(hash ^ c.codePointAt(0), 0x01000193);
    const { model, manifest, policy } = report.trace || {};
    return ["panelqc", model, manifest, policy, (hash >>> 0).toString(16)].join(":");
  },
  load() {
    try {
      const ids = new Set(panels.map((panel) => panel.panel));
      for (const entry of JSON.parse(localStorage.getItem(this.key) || "[]")) {
        if (ids.has(entry.panel)) this.made.set(entry.panel, entry);
      }
    } catch { this.stored = false; }
  },
  keep() {
    try { localStorage.setItem(this.key, JSON.stringify([...this.made.values()])); this.stored = true; }
    catch { this.stored = false; }
  },
  set(panel, decision, kind = null) {
    this.history.push([panel, this.made.get(panel.panel)]);
    const at = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    this.made.set(panel.panel, { panel: panel.panel, decision, kind, at });
    this.keep();
  },
  /// Takes the last decision of this visit back; gives its panel.
  undo() {
    const [panel, before] = this.history.pop() || [];
    if (!panel) return null;
    if (before) this.made.set(panel.panel, before); else this.made.delete(panel.panel);
    this.keep();
    return panel;
  },
  clear() {
    this.made.clear();
    this.history = [];
    this.keep();
  },
  /// The file that `panelqc eval --decisions` reads: one decision a line, in the order of the panels.
  file() {
    const { model = null, manifest = null, policy = null } = report.trace || {};
    const head = { schema: 1, model, manifest, policy, panels: panels.length };
    const lines = panels.filter((panel) => this.made.has(panel.panel)).map((panel) => {
      const { panel: id, decision, kind, at } = this.made.get(panel.panel);
      return `  ${JSON.stringify({ panel: id, decision, kind, at })}`;
    });
    return `${JSON.stringify(head).slice(0, -1)},"decisions":[\n${lines.join(",\n")}\n]}\n`;
  },
};
decisions.load();
const decisionText = (entry) => (entry.kind === null ? entry.decision : `${entry.decision}: ${entry.kind}`);
