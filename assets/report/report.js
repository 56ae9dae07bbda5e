"use strict";
// Draws the figures and works out the costs again. All that it needs is in this file.

const root = document.documentElement;
const read = (id) => JSON.parse(document.getElementById(id).textContent);

// theme: as the system says, until the button is pressed; paper is light

const system = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");
let chosen = null;
const theme = () => chosen ?? (system.matches ? "dark" : "light");

function show(name) {
  root.dataset.theme = name;
  button.textContent = name === "dark" ? button.dataset.light : button.dataset.dark;
  draw(name);
}
button.hidden = false;
button.addEventListener("click", () => {
  chosen = theme() === "dark" ? "light" : "dark";
  show(theme());
});
system.addEventListener("change", () => show(theme()));

// figures: the library is packed; unpacked it runs because the policy knows its digest

const figures = read("figures");
const places = [...document.querySelectorAll("[data-figure]")];
const PAPER = 700; // pixels between the margins of a sheet

function draw(name, width) {
  if (!window.Plotly) return;
  for (const place of places) {
    const figure = figures[name][place.dataset.figure];
    const layout = { ...figure.layout, width, autosize: width === undefined };
    Plotly.react(place, figure.data, layout, { displayModeBar: false, responsive: true });
  }
}

async function unpack() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  show(theme());
  root.dataset.drawn = "yes";
}

show(theme());
unpack().catch((reason) => {
  for (const place of places) place.textContent = document.body.dataset.undrawn.replace("{reason}", () => reason);
  root.dataset.drawn = "no";
});
addEventListener("beforeprint", () => { root.dataset.theme = "light"; draw("light", PAPER); });
addEventListener("afterprint", () => show(theme()));

// costs: bytes, times some inputs, over some others

const spec = read("costs-spec");
const inputs = [...document.querySelectorAll("[data-input]")];
const NBSP = "\u00a0";

const threeDigits = (x) => (x >= 99.95 ? x.toFixed(0) : x >= 9.995 ? x.toFixed(1) : x.toFixed(2));
const grouped = (x, digits) => x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

function size(n) {
  for (const [unit, scale] of [["B", 1], ["kB", 1e3], ["MB", 1e6], ["GB", 1e9]])
    if (n < 999.5 * scale || unit === "GB") return (scale === 1 ? n.toFixed(0) : threeDigits(n / scale)) + NBSP + unit;
}
function seconds(s) {
  if (s < 1e-4) return s > 0 ? spec.few : `0${NBSP}ms`;
  if (s < 0.9995) return threeDigits(1000 * s) + NBSP + "ms";
  if (s < 99.5) return threeDigits(s) + NBSP + "s";
  const minutes = Math.round(s / 60);
  return minutes < 100 ? `${minutes}${NBSP}min` : `${Math.floor(minutes / 60)}${NBSP}h ${minutes % 60}${NBSP}min`;
}
function money(x) {
  if (x > 0 && x < 0.01) return spec.little;
  return spec.currency + (x >= 100 ? grouped(x, 0) : x.toFixed(2));
}
const said = { bytes: size, seconds, money };

const product = (of, values) => of.reduce((all, x) => all * (typeof x === "string" ? values[x] : x), 1);

function work() {
  const values = Object.fromEntries(inputs.map((input) => [input.dataset.input, input.valueAsNumber]));
  const wrong = inputs.filter((input) => !input.checkValidity() || Number.isNaN(input.valueAsNumber));
  for (const cell of document.querySelectorAll("[data-line]")) {
    const line = spec.lines[cell.dataset.line];
    const value = (Number(cell.dataset.bytes) * product(line.times, values)) / product(line.over, values);
    cell.textContent = wrong.some((input) => [...line.times, ...line.over].includes(input.dataset.input)) ? "–" : said[line.unit](value);
  }
}
for (const input of inputs) input.addEventListener("input", work);
