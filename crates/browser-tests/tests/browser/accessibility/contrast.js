// Every text of the page that has too little contrast with what is behind it, as WCAG 2 counts.
// The colour of a text and of what is behind it, as the browser computes them; `canvas` turns any way to
// write a colour into numbers.
const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

function colourOf(text) {
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = text;
  pixel.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = pixel.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}

function over([...front], back) {
  const alpha = front[3];
  return [0, 1, 2].map((i) => front[i] * alpha + back[i] * (1 - alpha)).concat(1);
}

function luminance(colour) {
  const [red, green, blue] = colour.slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a, b) {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

function ancestors(element) {
  return element ? [...ancestors(element.parentElement), element] : [];
}

function isInside(box, { left, right, top, bottom }) {
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
}

/** What is painted behind a text: backgrounds of its ancestors, and shapes of its drawing before it. */
function behind(element) {
  const box = element.getBoundingClientRect();
  const shapes = [...(element.closest("svg")?.querySelectorAll("rect, path, circle") ?? [])].filter((shape) =>
    element.compareDocumentPosition(shape) & Node.DOCUMENT_POSITION_PRECEDING
    && !shape.closest("defs") && isInside(shape.getBoundingClientRect(), box));
  const layers = ancestors(element).map((each) => getComputedStyle(each).backgroundColor)
    .concat(shapes.map((shape) => getComputedStyle(shape).fill).filter((fill) => fill.startsWith("rgb")));
  // The canvas of the page: what `color-scheme` makes of it.
  const canvas = colourOf("Canvas");
  const dark = matchMedia("(prefers-color-scheme: dark)").matches
    && getComputedStyle(document.documentElement).colorScheme.includes("dark");
  return layers.map(colourOf).reduce((back, layer) => over(layer, back), dark ? [18, 18, 18, 1] : canvas);
}

const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
let seen = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const text = walker.currentNode.data.trim();
  const box = element.getBoundingClientRect();
  const isUnseen = !element.checkVisibility({ visibilityProperty: true }) || box.width < 2 || box.height < 2;
  // What cannot be used is exempt.
  const isOff = element.closest(":disabled, [aria-disabled=true]") || element.control?.disabled;
  if (!text || isUnseen || isOff || element.closest("script, style, template, noscript, option")) continue;
  seen += 1;
  const style = getComputedStyle(element);
  const back = behind(element);
  const opacity = ancestors(element).reduce((product, each) => product * getComputedStyle(each).opacity, 1);
  const [red, green, blue, alpha] = colourOf(element.closest("svg") ? style.fill : style.color);
  const ratio = contrast(over([red, green, blue, alpha * opacity], back), back);
  if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.tagName} ${element.className?.baseVal ?? element.className}: ${text.slice(0, 50)}`);
}
return { seen, found };
