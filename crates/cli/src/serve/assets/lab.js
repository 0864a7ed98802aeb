// The Ajax lab: fires calls at one session, times them, draws them, and exports them.

const CONNECTIONS = 6;
// In the order they happen: who has run in vain a few times, waits before the run that counts.
const KINDS = ["queued", "vain", "waits", "work"];
const NONE = "\u2013";

const state = { setup: null, lastRun: null, stopper: null };
const element = (id) => document.getElementById(id);

// Words and numbers

function time(ms) {
  if (!Number.isFinite(ms)) return NONE;
  if (ms < 0.05) return "0 ms";
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return ms < 999.5 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
}

/** Without the zeros that a measured time has. */
const given = (ms) => (ms < 1000 ? `${Number(ms.toFixed(1))} ms` : `${Number((ms / 1000).toFixed(2))} s`);
const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
const often = (count) => (count === 1 ? "once" : `${count} times`);
const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);
const floorOf = ({ calls, ms }) => Math.ceil(calls / CONNECTIONS) * ms;
const say = (words) => { element("status").textContent = words; };

// The server

async function ask(path, init = {}) {
  const response = await fetch(path, { cache: "no-store", ...init }).catch((cause) => {
    throw new Error("the server cannot be reached", { cause });
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json().catch((cause) => { throw new Error(`the answer of ${path} is no JSON`, { cause }); });
}

/** Fires one call. Always resolves: a call that fails must not hide the others. */
async function fireCall(plan, call, signal) {
  const url = new URL(`/lab/${plan.store.id}/${plan.access.id}`, location.href);
  url.search = new URLSearchParams({ ms: plan.ms, call });
  const method = plan.access.writes ? "POST" : "GET";
  const sent = { call, url, method, fired: performance.now(), status: 0, statusText: "", headers: [], size: 0 };
  let answer = {};
  let error = "";
  try {
    const response = await fetch(url, { method, cache: "no-store", signal });
    Object.assign(sent, { status: response.status, statusText: response.statusText });
    sent.headers = [...response.headers].map(([name, value]) => ({ name, value }));
    const text = await response.text();
    sent.size = new TextEncoder().encode(text).length;
    answer = JSON.parse(text) ?? {};
    if (!response.ok || !Number.isFinite(answer.count)) error = answer.error ?? "no count in the answer";
  } catch (thrown) {
    error = thrown instanceof SyntaxError ? "the answer is no JSON" : "no answer";
    if (signal.aborted) error = "stopped";
  }
  return { ...sent, answer, error, ok: !error, end: performance.now() };
}

/** Fires all calls of a plan at one session; `onAnswer` gets the run as far as it is known. */
async function fireAll(plan, signal, onAnswer) {
  await ask(`/lab/${plan.store.id}/begin`, { method: "POST", signal });
  performance.clearResourceTimings();
  const run = { plan, start: performance.now(), calls: [], final: NaN };
  await Promise.allSettled(Array.from({ length: plan.calls }, async (_, index) => {
    run.calls.push(measure(await fireCall(plan, index + 1, signal), run.start));
    onAnswer(run);
  }));
  await timingsArrived(run);
  run.calls = run.calls.map((call) => measure(call, run.start)).sort((a, b) => a.call - b.call);
  if (plan.access.writes) {
    run.final = await ask(`/lab/${plan.store.id}/count`).then(({ count }) => count, () => NaN);
  }
  return { ...run, totals: totalsOf(run) };
}

// Measuring

const entryOf = ({ url }) => performance.getEntriesByName(url.href, "resource").at(-1);

/** The browser may add an entry a moment after the answer was read. */
async function timingsArrived({ calls }) {
  for (let round = 0; round < 10 && !calls.every(entryOf); round += 1) {
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** Splits the time of a call. All in ms; `start` counts from the start of the run. */
function measure(call, runStart) {
  const entry = entryOf(call);
  const fired = entry?.startTime ?? call.fired;
  const end = entry?.responseEnd || call.end;
  const queued = Math.max(0, (entry?.requestStart || fired) - fired);
  const { waited_ms: waits = 0, redone_ms: vain = 0, worked_ms: work = 0, tries = 1 } = call.answer;
  const took = end - fired;
  const rest = Math.max(0, took - queued - waits - vain - work);
  return { ...call, fired, end, start: fired - runStart, took, tries, rest, parts: { queued, waits, vain, work } };
}

function totalsOf({ plan, calls, final }) {
  const acknowledged = calls.filter(({ ok }) => ok).length;
  const refused = calls.filter(({ status }) => status === 409).length;
  const again = sum(calls, ({ tries }) => tries - 1);
  return {
    time: Math.max(0, ...calls.map(({ start, took }) => start + took)),
    waited: sum(calls, ({ parts }) => parts.waits),
    vain: sum(calls, ({ parts }) => parts.vain),
    lost: plan.access.writes ? Math.max(0, acknowledged - final) : 0,
    failed: calls.length - acknowledged,
    final, acknowledged, refused, again, conflicts: again + refused,
  };
}

/** The counts that more than one call says to have written. */
function clashing({ plan, calls }) {
  const counts = plan.access.writes ? calls.filter(({ ok }) => ok).map(({ answer }) => answer.count) : [];
  return new Set(counts.filter((count, index) => counts.indexOf(count) !== index));
}

// Reading the result for the user

const REASONS = {
  exclusive: "hardly any had to wait for the session",
  released: "each held the session only to count and commit",
  shared: "readers do not wait for each other",
  snapshot: "whoever reads the last committed version waits for nothing",
  optimistic: "nobody waited, and there was no race",
  "last-write-wins": "nobody waited",
};

const waitedMuch = ({ plan, totals }) => totals.waited > Math.max(10, plan.ms / 4);

function readRun(run) {
  const { plan, totals } = run;
  const floor = floorOf(plan);
  const conflicts = totals.refused > 0 ? `, ${totals.refused} of them with a conflict` : "";
  const isNearFloor = plan.calls > CONNECTIONS && floor > 0 && totals.time < 1.4 * floor + 50;
  return [
    `${plural(plan.calls, "call")} of ${given(plan.ms)} took ${time(totals.time)}${reasonOf(run)}.`,
    isNearFloor && totals.failed === 0 && `The browser alone needs ${given(floor)}, with its six connections.`,
    totals.failed > 0 && `${plural(totals.failed, "call")} failed${conflicts}.`,
    verdictOn(plan, totals),
    adviceOn(run),
  ].filter(Boolean).join(" ");
}

function reasonOf({ plan, totals }) {
  if (totals.acknowledged === 0) return "";
  if (totals.again > 0) {
    const turns = waitedMuch({ plan, totals }) ? "; who had lost three waited its turn" : "";
    return `: the handler ran again ${often(totals.again)}, after a lost race${turns}`;
  }
  if (!waitedMuch({ plan, totals })) return REASONS[plan.access.id] ? `: ${REASONS[plan.access.id]}` : "";
  return plan.access.id === "exclusive" ? ": each waited for the session until those before it had answered"
    : `; waiting for the session took ${time(totals.waited)} of all calls together`;
}

function verdictOn({ access, calls }, { lost, final, acknowledged, failed }) {
  if (!access.writes) return "They only read, so there was nothing to lose.";
  if (Number.isNaN(final)) return "The final count could not be read: lost updates are unknown.";
  const unchecked = access.id === "last-write-wins";
  if (lost > 0) {
    return `${plural(acknowledged, "update")} acknowledged, but the counter stands at ${final}: ${lost} lost, `
      + (unchecked ? "and nobody was told." : "which this access should never let happen.");
  }
  if (final > acknowledged && failed === 0) return `The counter stands at ${final}: something else writes to this session.`;
  if (acknowledged === 0) return "";
  if (!unchecked) return "No update was lost.";
  return calls === 1 ? "One call alone has nobody to lose an update to."
    : "No update was lost this time; had one been, nobody would have been told.";
}

function adviceOn(run) {
  const { plan: { access, store }, totals } = run;
  if (access.id === "exclusive" && waitedMuch(run)) {
    return "Release the session early, or only read where that is enough, and they need not wait.";
  }
  if (totals.vain > 0) return `${time(totals.vain)} of work was done in vain: Optimistic suits rare races and short handlers.`;
  if (totals.lost === 0 || access.id !== "last-write-wins") return "";
  const keeps = { exclusive: "Exclusive, released early,", optimistic: "Optimistic" };
  const offered = Object.keys(keeps).filter((id) => store.accesses.includes(id)).map((id) => keeps[id]);
  return offered.length > 0 ? `In this store ${offered.join(" or ")} would have kept them.`
    : "This store cannot keep them: what must not be lost belongs in another.";
}

function readComparison(runs) {
  const named = ({ plan, totals }) => `${plan.access.title} (${time(totals.time)})`;
  const writers = runs.filter(({ plan }) => plan.access.writes);
  const kept = writers.filter(({ totals }) => totals.lost === 0 && totals.failed === 0)
    .sort((a, b) => a.totals.time - b.totals.time);
  const lost = writers.filter(({ totals }) => totals.lost > 0)
    .map(({ plan, totals }) => ` ${plan.access.title} lost ${totals.lost} of ${plural(totals.acknowledged, "update")}.`);
  const best = kept.length > 0 ? `Of the accesses that write, ${named(kept[0])} was the fastest that lost nothing`
    : "No access that writes kept every update";
  return `${best}${kept.length > 1 ? `, ${named(kept.at(-1))} the slowest` : ""}.${lost.join("")}`;
}

// Drawing

function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
const label = (x, y, words, kind, anchor = "end") => svg("text", { x, y, class: kind, "text-anchor": anchor }, words);

/** One call: its whole time as a line, and on it what the time went to, one after another. */
function drawCall(call, scale, left, top, height) {
  const from = left + call.start * scale;
  const to = from + call.took * scale;
  const middle = top + height / 2;
  const group = svg("g", { class: call.ok ? "call" : "call failed", "data-call": call.call },
    svg("title", {}, describe(call)), line(from, middle, to, middle, "rest"));
  let x = from;
  for (const kind of KINDS) {
    // The clocks of server and browser differ a little; no segment may pass the end of its call.
    const width = Math.max(0, Math.min(call.parts[kind] * scale, to - x));
    // Here and not in the style sheet, where `url(#...)` means a part of the style sheet.
    const fill = kind === "work" ? {} : { fill: `url(#pattern-${kind})` };
    group.append(svg("rect", { class: kind, x, y: top, width, height, ...fill }));
    x += width;
  }
  return group;
}

function describe({ call, parts: { queued, waits, vain, work }, took, error }) {
  const spent = `queued ${time(queued)}, waits ${time(waits)}, in vain ${time(vain)}, work ${time(work)}`;
  return `Call ${call}, ${time(took)}: ${error || spent}`;
}

/** A round step that gives an axis few enough labels. */
function stepFor(span, labels) {
  const power = 10 ** Math.floor(Math.log10(span / labels));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= span / labels);
}

function drawWaterfall(plan, run) {
  const width = Math.max(280, element("waterfall").clientWidth);
  const isWide = width > 620;
  const columns = isWide ? ["waited", "took", "count"] : ["took", "count"];
  const columnEnd = (index) => width - (columns.length - 1 - index) * (isWide ? 72 : 54) - 2;
  const [left, top, row] = [34, 34, plan.calls > 20 ? 20 : 26];
  const [right, bottom] = [columnEnd(0) - (isWide ? 76 : 60), top + plan.calls * row + 6];
  const calls = run?.calls ?? [];
  const floor = floorOf(plan);
  const span = 1.03 * Math.max(floor, 1, ...calls.map(({ start, took }) => start + took));
  const scale = (right - left) / span;
  const drawing = svg("svg", { width, height: bottom + 26, role: "img", "aria-label": waterfallLabel(run) });

  const step = stepFor(span, Math.max(2, (right - left) / 80));
  for (let at = 0; at <= span; at += step) {
    const x = left + at * scale;
    drawing.append(line(x, top - 6, x, bottom, "grid"), label(x, top - 14, at > 0 ? given(at) : "0", "tick", "middle"));
  }
  columns.forEach((name, index) => drawing.append(label(columnEnd(index), top - 14, name, "tick")));

  const clashes = run ? clashing(run) : new Set();
  for (let number = 1; number <= plan.calls; number += 1) {
    const y = top + (number - 1) * row;
    const call = calls.find((answered) => answered.call === number);
    drawing.append(label(left - 12, y + row / 2 + 4, number, "tick"), line(left, y + row / 2, right, y + row / 2, "grid"));
    if (!call) continue;
    const clash = call.ok && clashes.has(call.answer.count);
    const values = {
      waited: call.ok ? time(call.parts.waits) : NONE,
      took: time(call.took),
      count: call.ok ? `${call.answer.count}${clash ? "*" : ""}` : call.status || "failed",
    };
    drawing.append(drawCall(call, scale, left, y + 4, row - 8), ...columns.map((name, index) => label(
      columnEnd(index), y + row / 2 + 4, values[name], name === "count" && (clash || !call.ok) ? "alarm" : "value",
    )));
  }
  if (floor > 0) {
    const x = left + floor * scale;
    drawing.append(line(x, top - 6, x, bottom + 8, "floor"),
      label(x, bottom + 22, `six connections: ${given(floor)}`, "tick", x > (left + right) / 2 ? "end" : "start"));
  }
  element("waterfall").replaceChildren(drawing);
  element("clash-note").hidden = clashes.size === 0;
}

function waterfallLabel(run) {
  return run?.totals ? `Waterfall: ${titleOf(run.plan)}. ${plural(run.plan.calls, "call")}, ${time(run.totals.time)} `
    + "until the last answer. The table below has every number." : "Waterfall: no finished run";
}

function drawMini({ plan, calls }, span) {
  const [width, row] = [240, plan.calls > 20 ? 3 : 6];
  const height = plan.calls * row;
  return svg("svg", { class: "mini", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", height, "aria-hidden": true },
    ...calls.map((call) => drawCall(call, width / span, 0, (call.call - 1) * row, row - 1)));
}

// Showing

const titleOf = ({ access, store }) => `${access.title}, ${store.name}`;
const lostShown = ({ plan, totals }) => (Number.isNaN(totals.lost) ? "unknown" : plan.access.writes ? String(totals.lost) : NONE);

function cell(content, data = {}, kind = "number") {
  const node = document.createElement("td");
  node.className = kind;
  node.append(content);
  Object.assign(node.dataset, data);
  return node;
}

function tableRow(heading, cells) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.append(...heading);
  row.append(head, ...cells);
  return row;
}

function showCallsTable({ calls }) {
  element("calls-table").tBodies[0].replaceChildren(...calls.map(({ call, ok, parts, rest, took, tries, status, error, answer }) => {
    const known = [time(parts.waits), time(parts.vain), time(parts.work), time(rest), time(took), answer.count, tries];
    const figures = ok ? known : [NONE, NONE, NONE, time(rest), time(took), NONE, NONE];
    const result = [status || "", error].filter(Boolean).join(": ");
    return tableRow([call], [cell(time(parts.queued)), ...figures.map((figure) => cell(figure)), cell(result, {}, "")]);
  }));
}

function showFigure(id, shown, key, value, aside) {
  const node = element(id);
  node.textContent = shown;
  if (Number.isFinite(value)) node.dataset[key] = value;
  else delete node.dataset[key];
  if (aside !== undefined) element(`${id}-aside`).textContent = aside;
}

function showRun(run) {
  const { plan, totals } = run;
  state.lastRun = run;
  element("reading").textContent = readRun(run);
  showFigure("total-time", time(totals.time), "ms", totals.time);
  showFigure("total-waited", time(totals.waited), "ms", totals.waited);
  showFigure("total-lost", lostShown(run), "count", totals.lost,
    plan.access.writes ? `of ${totals.acknowledged} acknowledged` : "only reads");
  showFigure("total-again", totals.conflicts, "count", totals.conflicts,
    totals.again > 0 ? `handler ran again ${often(totals.again)}` : "");
  showFigure("total-failed", totals.failed, "count", totals.failed,
    totals.refused > 0 ? `${totals.refused} with a conflict` : "");
  element("total-lost").classList.toggle("alarm", totals.lost > 0);
  element("total-failed").classList.toggle("alarm", totals.failed > 0);
  drawWaterfall(plan, run);
  showCallsTable(run);
  element("export-har").disabled = false;
  document.body.dataset.runs = Number(document.body.dataset.runs) + 1;
}

function showComparison(runs) {
  const [{ plan }] = runs;
  const span = Math.max(1, ...runs.map(({ totals }) => totals.time));
  element("comparison").tBodies[0].replaceChildren(...runs.map((run) => {
    const { totals } = run;
    const row = tableRow([run.plan.access.title, drawMini(run, span)], [
      cell(time(totals.time), { ms: totals.time, label: "until the last answer" }),
      cell(time(totals.waited), { label: "waited, in all" }),
      cell(lostShown(run), { lost: totals.lost, label: "lost updates" }, totals.lost > 0 ? "number alarm" : "number"),
      cell(totals.conflicts, { label: "conflicts" }),
      cell(totals.failed, { label: "failed" }, totals.failed > 0 ? "number alarm" : "number"),
    ]);
    row.dataset.access = run.plan.access.id;
    row.setAttribute("role", "row");
    for (const each of row.cells) each.setAttribute("role", each.tagName === "TH" ? "rowheader" : "cell");
    return row;
  }));
  element("comparison-caption").textContent = `${plan.store.name}, ${plural(plan.calls, "call")} of ${given(plan.ms)}; `
    + "the small waterfalls share one time axis";
  element("comparison-reading").textContent = readComparison(runs);
  element("compared").hidden = false;
}

function showFloor() {
  const plan = currentPlan();
  const floor = plan ? floorOf(plan) : NaN;
  showFigure("floor", plan ? given(floor) : NONE, "ms", floor, plan
    ? `is the least that ${plural(plan.calls, "call")} of ${given(plan.ms)} can take here: `
      + `${plural(Math.ceil(plan.calls / CONNECTIONS), "round")} of at most six.`
    : "until the numbers above are valid.");
  if (plan && !state.lastRun && !state.stopper) drawWaterfall(plan, null);
}

// The form

const numberFields = () => [element("calls"), element("handler-ms")];

/** Says beside the field why its number is refused, if it is. */
function checkField(field) {
  const { validity: { valid, rangeOverflow, rangeUnderflow }, min, max } = field;
  const range = rangeOverflow ? `At most ${max}.` : rangeUnderflow ? `At least ${min}.` : `A whole number from ${min} to ${max}.`;
  element(`${field.id}-error`).textContent = valid ? "" : range;
  field.setAttribute("aria-invalid", !valid);
  return valid;
}

const chosenStore = () => state.setup.stores.find(({ id }) => id === element("store").value);
const chosenRadio = () => document.querySelector('input[name="access"]:checked');

/** What the form says now, or nothing if a number is refused. */
function currentPlan() {
  if (!numberFields().every(({ validity }) => validity.valid)) return null;
  const access = state.setup.accesses.find(({ id }) => id === chosenRadio().value);
  const [calls, ms] = numberFields().map((field) => field.valueAsNumber);
  return { store: chosenStore(), access, calls, ms };
}

/** Why a store does not offer an access. */
function reasonAgainst(store, access) {
  const locks = ["exclusive", "released", "shared"].includes(access.id);
  if (store.id === "map" && locks) return "MapStore never locks";
  if (store.id === "cookie") return locks ? "a cookie cannot be locked" : "the server keeps nothing to compare with";
  return `${store.name} does not offer it`;
}

function radioFor({ id, title }) {
  const choice = element("choice").content.cloneNode(true);
  const [input, name, about] = choice.firstElementChild.children;
  Object.assign(input, { value: id, id: `access-${id}` });
  input.setAttribute("aria-describedby", `about-${id}`);
  Object.assign(name, { htmlFor: input.id, textContent: title });
  about.id = `about-${id}`;
  return choice;
}

function chooseStore() {
  const store = chosenStore();
  element("store-about").textContent = store.about;
  for (const access of state.setup.accesses) {
    const offered = store.accesses.includes(access.id);
    element(`access-${access.id}`).disabled = !offered;
    element(`about-${access.id}`).textContent = offered ? access.about : `Not here: ${reasonAgainst(store, access)}`;
  }
  const before = chosenRadio();
  if (!before || before.disabled) {
    const first = state.setup.accesses.find(({ id }) => store.accesses.includes(id));
    element(`access-${first.id}`).checked = true;
    if (before) say(`${store.name} does not offer the access that was chosen; ${first.title} is chosen now.`);
  }
  showFloor();
}

// Running

function setRunning(stopper) {
  state.stopper = stopper;
  document.body.dataset.state = stopper ? "running" : "idle";
  // Not `disabled`, which would take the focus from the button that was pressed.
  for (const id of ["fire", "compare"]) element(id).setAttribute("aria-disabled", Boolean(stopper));
  if (!stopper && document.activeElement === element("stop")) element("fire").focus();
  element("stop").hidden = !stopper;
}

async function runOne(plan, prefix, signal) {
  const progress = (run) => {
    Object.assign(element("answered"), { max: plan.calls, value: run.calls.length });
    say(`${prefix}${run.calls.length} of ${plan.calls} answered`);
    drawWaterfall(plan, run);
  };
  element("run-title").textContent = titleOf(plan);
  progress({ plan, calls: [] });
  const run = await fireAll(plan, signal, progress);
  showRun(run);
  return run;
}

/** Runs plans one after another, until one cannot begin or the user stops. */
async function runAll(plans) {
  const stopper = new AbortController();
  const runs = [];
  setRunning(stopper);
  lead("run-section");
  try {
    for (const plan of plans) {
      if (stopper.signal.aborted) break;
      runs.push(await runOne(plan, plans.length > 1 ? `${plan.access.title}: ` : "", stopper.signal));
    }
    const failed = sum(runs, ({ totals }) => totals.failed);
    say((plans.length > 1 ? `Done: ${runs.length} runs` : `Done in ${time(runs[0].totals.time)}`)
      + (failed > 0 ? `; ${plural(failed, "call")} failed.` : "."));
  } catch (error) {
    say(`The run could not begin: ${error.message}.`);
  }
  if (stopper.signal.aborted) say("Stopped.");
  if (plans.length > 1 && runs.length > 0) {
    showComparison(runs);
    lead("compared");
  }
  setRunning(null);
}

/** Puts what was asked for last above the rest, and on a narrow screen into sight. */
function lead(id) {
  element("progress").after(element(id));
  const isReduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (element("progress").getBoundingClientRect().top > innerHeight * 0.6) {
    element("results").scrollIntoView({ behavior: isReduced ? "auto" : "smooth" });
  }
}

/** Runs what the form says, with each of these accesses; refused numbers are never sent. */
function runForm(accessesOf) {
  if (state.stopper) return;
  const refused = numberFields().filter((field) => !checkField(field));
  if (refused.length > 0) {
    refused[0].focus();
    return;
  }
  const plan = currentPlan();
  runAll(accessesOf(plan).map((access) => ({ ...plan, access })));
}

const offeredBy = ({ store }) => state.setup.accesses.filter(({ id }) => store.accesses.includes(id));

// Export

function harEntry(startedDateTime, request, response, timings, more) {
  const unknown = { httpVersion: "HTTP/1.1", cookies: [], headersSize: -1, bodySize: -1 };
  return {
    pageref: "page_1", startedDateTime, time: sum(Object.values(timings), (ms) => ms),
    request: { ...unknown, ...request }, response: { ...unknown, redirectURL: "", ...response },
    cache: {}, timings, ...more,
  };
}

function harOfCall(call, started) {
  const { method, url, status, statusText, headers, size, error, parts } = call;
  const [blocked, wait] = [parts.queued + parts.waits, parts.work + parts.vain];
  const queryString = [...url.searchParams].map(([name, value]) => ({ name, value }));
  return harEntry(
    started,
    { method, url: url.href, headers: [{ name: "Cookie", value: "(hidden)" }], queryString },
    { status, statusText, headers, content: { size, mimeType: "application/json" } },
    { blocked, send: 0, wait, receive: Math.max(0, call.took - blocked - wait) },
    { _resourceType: "fetch", ...(error && { comment: error }) },
  );
}

function harOf({ plan, start, calls }) {
  const iso = (at) => new Date(performance.timeOrigin + at).toISOString();
  const page = performance.getEntriesByType("navigation")[0];
  const wait = page ? Math.max(0, page.responseStart - page.requestStart) : 0;
  // Just before the calls, whenever it was loaded: a replay would otherwise sit through the time between.
  const opened = iso(start - wait);
  const site = harEntry(opened,
    { method: "GET", url: `${location.origin}${location.pathname}`, headers: [], queryString: [] },
    { status: 200, statusText: "OK", headers: [], content: { size: page?.decodedBodySize ?? 0, mimeType: "text/html" } },
    { blocked: 0, send: 0, wait, receive: 0 }, { _resourceType: "document" });
  const title = `${titleOf(plan)}: ${plural(plan.calls, "call")} of ${plan.ms} ms`;
  return { log: {
    version: "1.2",
    creator: { name: "cloakroom Ajax lab", version: "1" },
    pages: [{ id: "page_1", startedDateTime: opened, title, pageTimings: {} }],
    entries: [site, ...calls.map((call) => harOfCall(call, iso(call.fired)))],
  } };
}

function exportHar() {
  const file = new Blob([JSON.stringify(harOf(state.lastRun), null, 2)], { type: "application/json" });
  const link = document.createElement("a");
  Object.assign(link, { href: URL.createObjectURL(file), download: "cloakroom-lab.har" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say("cloakroom-lab.har is saved.");
}

// Start

function listen() {
  element("run").addEventListener("submit", (event) => {
    event.preventDefault();
    runForm(({ access }) => [access]);
  });
  element("compare").addEventListener("click", () => runForm(offeredBy));
  element("stop").addEventListener("click", () => state.stopper?.abort());
  element("export-har").addEventListener("click", exportHar);
  element("store").addEventListener("change", chooseStore);
  for (const field of numberFields()) {
    field.addEventListener("input", () => { checkField(field); showFloor(); });
  }
  let width = element("waterfall").clientWidth;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === width || state.stopper) return;
    width = contentRect.width;
    if (state.lastRun) drawWaterfall(state.lastRun.plan, state.lastRun);
    else showFloor();
  }).observe(element("waterfall"));
}

async function begin() {
  try {
    state.setup = await ask("/lab/setup");
    element("store").append(...state.setup.stores.map(({ id, name }) => new Option(name, id)));
    element("accesses").append(...state.setup.accesses.map(radioFor));
    element("calls").max = state.setup.calls_max;
    element("handler-ms").max = state.setup.handler_ms_max;
    performance.setResourceTimingBufferSize(state.setup.calls_max + 50);
    chooseStore();
  } catch (error) {
    say(`The lab cannot start: ${error.message}.`);
    document.body.dataset.state = "idle";
    return;
  }
  listen();
  for (const id of ["fire", "compare"]) element(id).disabled = false;
  setRunning(null);
  say("Ready.");
}

await begin();
