"use strict";

// Everything shown is in the element #data; charts are Vega-Lite specifications made in charts.py.
const content = JSON.parse(document.getElementById("data").textContent);
const SIGNS = {
  "supported": "+",
  "reversed": "−",
  "no effect of practical size": "=",
  "claimed effect excluded": "≠",
  "undetermined": "?",
  "not testable": "∅",
};
const REGISTERED = { yes: "registered before the runs", exploratory: "exploratory" };
const ANY = "all";

// ── Elements ─────────────────────────────────────────────────────────────────

function byId(id) {
  return document.getElementById(id);
}

// An element with attributes and children; text enters as text nodes alone.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function fill(select, options, chosen) {
  select.replaceChildren(
    ...Object.entries(options).map(([value, text]) => new Option(text, value, false, value === chosen)),
  );
}

// ── Tables as columns, and as rows ───────────────────────────────────────────

function rowsOf(columns) {
  const names = Object.keys(columns);
  return columns[names[0]].map((_, i) => Object.fromEntries(names.map((n) => [n, columns[n][i]])));
}

const runs = rowsOf(content.runs);
const epochs = rowsOf(content.epochs);
const claims = content.claims ? rowsOf(content.claims) : [];
const claimRuns = content.claims ? rowsOf(content.claim_runs) : [];

function named(values, names = {}) {
  return Object.fromEntries(values.map((value) => [value, names[value] ?? value]));
}

function distinct(values) {
  return [...new Set(values)];
}

function written(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value !== "number") return value;
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return value.toLocaleString("en");
  return size >= 1e5 || (size < 1e-3 && size > 0) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function csvOf(rows) {
  const names = Object.keys(rows[0] ?? {});
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const line = (values) => values.map((value) => quoted(String(value ?? ""))).join(",");
  return [line(names), ...rows.map((row) => line(names.map((name) => row[name])))].join("\n") + "\n";
}

function download(name, rows) {
  const address = URL.createObjectURL(new Blob([csvOf(rows)], { type: "text/csv" }));
  const link = element("a", { href: address, download: `${name}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// ── Charts ───────────────────────────────────────────────────────────────────

// A specification whose `@words` are replaced: titles, and the domain in ["@word"].
function completed(specification, words) {
  const meant = (value) => (typeof value === "string" && value in words ? words[value] : undefined);
  return JSON.parse(JSON.stringify(specification, (_, value) =>
    meant(Array.isArray(value) && value.length === 1 ? value[0] : value) ?? value,
  ));
}

async function draw(place, name, rows, words = {}) {
  place.replaceChildren();
  if (!rows.length) {
    place.append(element("p", { class: "none" }, "Nothing to show here: no run has a value."));
    return;
  }
  const specification = { ...completed(content.charts[name], words), datasets: { rows } };
  await vegaEmbed(place, specification, { renderer: "svg", actions: false });
}

function shownRun(run, values) {
  return { protocol: run.protocol, dataset: run.dataset, lambda: run.lambda, seed: run.seed, ...values };
}

// ── The short answer ─────────────────────────────────────────────────────────

function lines(texts) {
  return texts.flatMap((text, i) => (i ? [element("br"), text] : [text]));
}

function startAnswers() {
  if (!content.answers.length) {
    byId("answers").remove();
    return;
  }
  const rows = content.answers.map((answer) => element(
    "tr",
    {},
    element("th", { scope: "row" }, answer.question),
    element("td", { "data-label": "answer" }, element("strong", {}, answer.answer)),
    element("td", { "data-label": "measured", class: "number" }, ...lines(answer.numbers)),
    element("td", { "data-label": "where" }, ...lines(answer.places)),
  ));
  document.querySelector(".answers tbody").append(...rows);
}

// ── Accuracy against flatness ────────────────────────────────────────────────

function isFlat(run) {
  return run.last_tr_h2 > 0 && run.last_test_accuracy !== null;
}

async function showOverview() {
  const own = runs.filter((run) => run.protocol === byId("overview-protocol").value && isFlat(run));
  const strengths = own.map((run) => run.strength).filter((strength) => strength > 0);
  const range = strengths.length ? [Math.min(...strengths), Math.max(...strengths)] : [0.1, 1];
  const places = distinct(own.map((run) => run.dataset)).map((dataset) => {
    const chart = element("div", { class: "chart" });
    return { dataset, chart, figure: element("figure", {}, element("h3", {}, content.datasets[dataset]), chart) };
  });
  document.querySelector(".clouds").replaceChildren(...places.map((place) => place.figure));
  await Promise.all(places.map(({ dataset, chart }) => {
    const points = own.filter((run) => run.dataset === dataset)
      .map((run) => shownRun(run, { x: run.last_tr_h2, y: run.last_test_accuracy, strength: run.strength }));
    return draw(chart, "cloud", points, { "@x": "tr(H²)", "@y": "test accuracy", "@strengths": range });
  }));
}

function startOverview() {
  const flat = distinct(runs.filter(isFlat).map((run) => run.protocol));
  if (!flat.length) {
    byId("overview").remove();
    return null;
  }
  const first = flat.includes(content.surface.protocol) ? content.surface.protocol : flat[0];
  fill(byId("overview-protocol"), named(flat), first);
  byId("overview-protocol").addEventListener("change", showOverview);
  return showOverview();
}

// ── The ledger ───────────────────────────────────────────────────────────────

function deciding() {
  const seen = new Set();
  return claims.filter((claim) => !seen.has(claim.claim) && seen.add(claim.claim));
}

function badge(verdict) {
  return element("span", { class: `verdict ${verdict.replaceAll(" ", "-")}` }, element("span", { "aria-hidden": "true" }, SIGNS[verdict]), ` ${verdict}`);
}

function interval(claim) {
  // A difference of equal means leaves the rounding of their sums.
  const width = claim.low === null ? 1 : claim.high - claim.low;
  const estimate = Math.abs(claim.estimate) < 1e-12 * width ? 0 : claim.estimate;
  const range = claim.low === null ? "" : ` [${written(claim.low)}, ${written(claim.high)}]`;
  return `${written(estimate)}${range}`;
}

function showTally() {
  const counts = deciding().map((claim) => claim.verdict);
  const parts = content.verdicts
    .map((verdict) => [verdict, counts.filter((v) => v === verdict).length])
    .filter(([, n]) => n);
  byId("tally").replaceChildren(
    `${counts.length} claims, by the protocol that decides: `,
    ...parts.flatMap(([verdict, n], i) => [i ? ", " : "", `${n} `, badge(verdict)]),
    ".",
  );
}

function chosenClaims() {
  const asked = ["verdict", "family", "registered"].map((name) => [name, byId(name).value]);
  const fits = (claim) => asked.every(([name, value]) => value === ANY || claim[name] === value);
  const names = new Set(deciding().filter(fits).map((claim) => claim.claim));
  return claims.filter((claim) => names.has(claim.claim));
}

function showLedger() {
  const chosen = chosenClaims();
  const names = distinct(chosen.map((claim) => claim.claim));
  const table = document.querySelector(".ledger");
  table.querySelectorAll("tbody").forEach((body) => body.remove());
  for (const [family, title] of Object.entries(content.families)) {
    const own = names.filter((name) => chosen.find((claim) => claim.claim === name).family === family);
    if (own.length) table.append(familyRow(title));
    for (const name of own) table.append(bodyOf(chosen.filter((claim) => claim.claim === name)));
  }
  byId("found").textContent = `${names.length} claims shown`;
}

function familyRow(title) {
  const cell = element("th", { colspan: "4", scope: "rowgroup" }, title);
  return element("tbody", { class: "family" }, element("tr", {}, cell));
}

function bodyOf(tried) {
  const body = element("tbody");
  tried.forEach((claim, i) => body.append(rowOf(claim, i === 0)));
  return body;
}

function rowOf(claim, first) {
  const words = first ? claim.statement : `the same under ${claim.protocol}`;
  const button = element("button", { type: "button", "aria-expanded": "false", class: "open" }, words);
  const row = element(
    "tr",
    { class: first ? "decides" : "carries", "data-claim": claim.claim, "data-protocol": claim.protocol },
    element("th", { scope: "row" }, button, ...exploratoryMark(claim, first)),
    element("td", { "data-label": "protocol" }, claim.protocol),
    element("td", { "data-label": "verdict" }, badge(claim.verdict)),
    element("td", { "data-label": "estimate", class: "number" }, interval(claim)),
  );
  button.addEventListener("click", () => toggle(claim, row, button));
  return row;
}

function exploratoryMark(claim, first) {
  if (!first || claim.registered !== "exploratory") return [];
  const title = "not all of its runs recorded this test of it when they were trained";
  return [" ", element("span", { class: "exploratory", title }, "exploratory")];
}

async function toggle(claim, row, button) {
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) {
    row.nextElementSibling.remove();
    return;
  }
  const behind = runsBehind(claim);
  const chart = element("div", { class: "chart" });
  const cell = element("td", { colspan: "4" }, facts(claim), chart, runTable(claim, behind));
  row.after(element("tr", { class: "detail" }, cell));
  await drawClaim(chart, claim, behind);
}

function facts(claim) {
  const sizes = claim.n_baseline === null ? written(claim.n) : `${claim.n} and ${claim.n_baseline}`;
  const entries = {
    "said in": claim.said,
    "the original's numbers": claim.reported,
    "compared": `${claim.metric}, ${claim.dataset}: ${claim.comparison}; expected ${claim.expected}`,
    "estimate": `${interval(claim)} (${claim.unit})${claim.effect === null ? "" : `, Hedges' g ${written(claim.effect)}`}`,
    "p, adjusted": `effect beyond the margin ${written(claim.p_adjusted)}, within it ${written(claim.equivalence_p_adjusted)}, not beyond it in the claimed direction ${written(claim.excluded_p_adjusted)} (test: ${claim.test}; check: ${claim.check ?? "none"} ${written(claim.check_p)})`,
    "margin": `${written(claim.margin)}: ${claim.margin_reason}`,
    "runs": `n ${sizes}, ${claim.diverged} diverged; power for ${claim.expected === "equal" ? "no effect" : "twice the margin"} ${written(claim.power)}, detectable ${written(claim.detectable)}`,
    "registered": REGISTERED[claim.registered],
    "would settle it": claim.settles,
    "note": claim.note,
  };
  const list = element("dl", { class: "facts" });
  for (const [term, text] of Object.entries(entries)) {
    if (text) list.append(element("dt", {}, term), element("dd", {}, text));
  }
  return list;
}

function runsBehind(claim) {
  return claimRuns
    .filter((row) => row.claim === claim.claim && row.protocol === claim.protocol)
    .map((row) => ({ side: row.side, ...runs[row.run] }));
}

async function drawClaim(place, claim, behind) {
  const title = (name) => content.metrics[name] ?? name;
  const known = behind.filter((run) => run[claim.metric] !== null && run[claim.metric] !== undefined);
  if (claim.target) {
    const points = known.map((run) => shownRun(run, { x: run[claim.metric], y: run[claim.target] }));
    await draw(place, "scatter", points, { "@x": title(claim.metric), "@y": title(claim.target) });
    return;
  }
  const alike = (name) => distinct(behind.map((run) => run[name])).length === 1;
  const group = (run) =>
    [alike("protocol") ? "" : run.protocol, alike("dataset") ? "" : content.datasets[run.dataset], run.lambda]
      .filter((part) => part !== "").join(" ");
  const points = known.map((run) => shownRun(run, { group: group(run), side: run.side, y: run[claim.metric] }));
  await draw(place, "sides", points, { "@y": title(claim.metric), "@sides": distinct(points.map((p) => p.side)) });
}

function runTable(claim, behind) {
  const names = ["side", "protocol", "dataset", "lambda", "seed", "status", ...distinct([claim.metric, claim.target, "strength"].filter((n) => n && n in content.metrics)), "key"];
  const rows = behind.map((run) => Object.fromEntries(names.map((name) => [name, run[name]])));
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map((row) => element("tr", {}, ...names.map((name) => element("td", {}, name === "seed" ? String(row.seed) : written(row[name])))));
  const button = element("button", { type: "button" }, `CSV of these ${rows.length} runs`);
  button.addEventListener("click", () => download(`${claim.claim}-${claim.protocol}`, rows));
  const table = element("table", { class: "runs" }, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { class: "behind" }, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "runs behind the claim" }, table), button);
}

function startLedger() {
  if (!content.claims) {
    byId("ledger").remove();
    return;
  }
  fill(byId("verdict"), { [ANY]: "all", ...named(content.verdicts) }, ANY);
  fill(byId("family"), { [ANY]: "all", ...content.families }, ANY);
  fill(byId("registered"), { [ANY]: "all", ...REGISTERED }, ANY);
  for (const name of ["verdict", "family", "registered"]) byId(name).addEventListener("change", showLedger);
  byId("claims-csv").addEventListener("click", () => download("claims", chosenClaims()));
  showTally();
  showLedger();
}

// ── The runs ─────────────────────────────────────────────────────────────────

// What each figure last showed, for its CSV.
const shown = {};

function selected() {
  return runs
    .map((run, number) => ({ ...run, number }))
    .filter((run) => run.protocol === byId("protocol").value && run.dataset === byId("dataset").value);
}

function tell(figure, rows, words) {
  shown[figure] = rows;
  byId(`${figure}-figure`).querySelector(".count").textContent = words;
}

function counted(chosen, points) {
  const diverged = chosen.filter((run) => run.status === "diverged").length;
  return `${points.length} runs${diverged ? `, ${diverged} diverged` : ""}.`;
}

async function showDots() {
  const chosen = selected();
  const metric = byId("metric").value;
  const known = chosen.filter((run) => run[metric] !== null);
  tell("dots", known.map((run) => shownRun(run, { [metric]: run[metric], key: run.key })), counted(chosen, known));
  const points = known.map((run) => shownRun(run, { group: run.lambda, y: run[metric] }));
  await draw(byId("dots"), "dots", points, { "@y": content.metrics[metric] });
}

async function showCurves() {
  const numbers = new Set(selected().map((run) => run.number));
  const quantity = byId("curve").value;
  const known = epochs.filter((row) => numbers.has(row.run) && row[quantity] !== null);
  const rows = known.map((row) => shownRun(runs[row.run], { epoch: row.epoch, [quantity]: row[quantity], key: runs[row.run].key }));
  tell("curves", rows, `${distinct(known.map((row) => row.run)).length} runs.`);
  const points = known.map((row) => shownRun(runs[row.run], { x: row.epoch, y: row[quantity] }));
  await draw(byId("curves"), "curves", points, { "@y": content.curves[quantity] });
}

async function showScatter() {
  const chosen = selected();
  const measure = byId("measure").value;
  const metric = byId("metric").value;
  const value = (run) => (measure in content.flatness ? content.flatness[measure][run.number] : run[measure]);
  const known = chosen.filter((run) => value(run) !== null && run[metric] !== null);
  tell("scatter", known.map((run) => shownRun(run, { [measure]: value(run), [metric]: run[metric], key: run.key })), counted(chosen, known));
  const points = known.map((run) => shownRun(run, { x: value(run), y: run[metric] }));
  await draw(byId("scatter"), "scatter", points, { "@x": measures()[measure], "@y": content.metrics[metric] });
}

async function showSurfaces() {
  const of = content.surface;
  const surface = byId("protocol").value === of.protocol ? content.surfaces[byId("dataset").value] : null;
  const names = surface ? `seed ${of.seed} of ${of.protocol}, λ = 0 and λ = ${of.lambda}` : `only for ${of.protocol}`;
  const line = surface ? lineOf(surface) : [];
  tell("line", line, names);
  const plain = surface ? planeOf(surface, "plain_surface") : [];
  const penalized = surface ? planeOf(surface, "penalized_surface") : [];
  tell("plane", [...plain.map((p) => ({ lambda: "0", ...p })), ...penalized.map((p) => ({ lambda: of.lambda, ...p }))], names);
  byId("penalized-title").textContent = `penalized, λ = ${of.lambda}`;
  await draw(byId("line"), "line", line, { "@y": "loss (nats)" });
  const losses = [...plain, ...penalized].map((point) => point.z);
  const levels = { "@levels": [Math.min(...losses), Math.max(...losses)] };
  await draw(byId("plain"), "plane", plain, levels);
  await draw(byId("penalized"), "plane", penalized, levels);
}

function lineOf(surface) {
  return ["train", "test"].flatMap((split) =>
    surface.alphas.map((x, i) => ({ split: split === "train" ? "training" : "test", x, y: surface[`${split}_loss`][i] })),
  );
}

function planeOf(surface, name) {
  const n = surface.coordinates.length;
  return surface[name].map((z, i) => ({ x: surface.coordinates[i % n], y: surface.coordinates[Math.floor(i / n)], z }));
}

function measures() {
  const own = ["last_tr_h2", "last_lambda_max", "last_parameter_norm", "tr_h2", "tr_h", "lambda_max", "parameter_norm"].filter((name) => name in content.metrics);
  return { ...named(own, content.metrics), ...named(Object.keys(content.flatness), content.measures) };
}

async function showAll() {
  await Promise.all([showDots(), showCurves(), showScatter(), showSurfaces()]);
}

function showDatasets() {
  const there = distinct(runs.filter((run) => run.protocol === byId("protocol").value).map((run) => run.dataset));
  const before = byId("dataset").value;
  fill(byId("dataset"), named(there, content.datasets), there.includes(before) ? before : there[0]);
}

function startRuns() {
  const protocols = distinct([...content.main, ...runs.map((run) => run.protocol)]);
  const first = protocols.includes(content.surface.protocol) ? content.surface.protocol : protocols[0];
  fill(byId("protocol"), named(protocols), first);
  showDatasets();
  fill(byId("metric"), content.metrics, "last_test_accuracy");
  fill(byId("curve"), content.curves, "validation_accuracy");
  fill(byId("measure"), measures(), "last_tr_h2");
  byId("protocol").addEventListener("change", () => { showDatasets(); showAll(); });
  byId("dataset").addEventListener("change", showAll);
  byId("metric").addEventListener("change", () => { showDots(); showScatter(); });
  byId("curve").addEventListener("change", showCurves);
  byId("measure").addEventListener("change", showScatter);
  for (const figure of document.querySelectorAll(".panels > figure")) {
    const name = figure.id.replace("-figure", "");
    figure.querySelector(":scope > button").addEventListener("click", () => download(`${byId("protocol").value}-${byId("dataset").value}-${name}`, shown[name]));
  }
  return showAll();
}

// ── Light and dark ───────────────────────────────────────────────────────────

function startTheme() {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { byId("theme").textContent = isDark() ? "Light page" : "Dark page"; };
  byId("theme").addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  name();
}

startTheme();
for (const place of document.querySelectorAll(".level")) place.textContent = `[${Math.round(100 * content.level)} % interval]`;
startAnswers();
startLedger();
await Promise.all([startOverview(), startRuns()]);
document.documentElement.dataset.ready = "yes";
