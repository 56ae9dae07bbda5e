// Lines of x, y, x, y ... in 0..1000 from the upper left, sent while one draws, at most every 150 ms.
const FIELD = 1000, EVERY = 150, NEAR = 6, PEN = 0.085, MOST = 3500;

export default function ({ data, parentElement, setStateValue }) {
  const canvas = parentElement.querySelector("canvas");
  const { pad: about, ...words } = (data && data.words) || {};
  if (about) canvas.setAttribute("aria-label", about);
  for (const name in words) parentElement.querySelector(`.${name}`).textContent = words[name];
  if (canvas.pad) {           // the page was drawn again: the pad knows better what is on it
    canvas.pad.send = setStateValue;
    canvas.pad.draw();        // the theme may have changed
    return;
  }
  const pad = canvas.pad = { lines: (data && data.lines) || [], send: setStateValue, timer: 0, down: false };
  const context = canvas.getContext("2d"), side = canvas.width;

  pad.draw = () => {
    context.clearRect(0, 0, side, side);
    context.strokeStyle = context.fillStyle = getComputedStyle(canvas).getPropertyValue("--st-text-color") || "#000";
    context.lineWidth = PEN * side;
    context.lineCap = context.lineJoin = "round";
    for (const line of pad.lines) {
      context.beginPath();
      context.moveTo(line[0] / FIELD * side, line[1] / FIELD * side);
      for (let i = 2; i < line.length; i += 2) context.lineTo(line[i] / FIELD * side, line[i + 1] / FIELD * side);
      if (line.length === 2) context.lineTo(line[0] / FIELD * side + 0.1, line[1] / FIELD * side);
      context.stroke();
    }
  };
  const tell = () => {
    clearTimeout(pad.timer);
    pad.timer = 0;
    pad.send("drawing", { lines: pad.lines.map(line => line.slice()), down: pad.down });
  };
  const soon = () => { if (!pad.timer) pad.timer = setTimeout(tell, EVERY); };
  const at = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      .map(x => Math.max(0, Math.min(FIELD, Math.round(FIELD * x))));
  };
  const points = () => pad.lines.reduce((n, line) => n + line.length / 2, 0);

  canvas.onpointerdown = event => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    pad.down = true;
    pad.lines.push(at(event));
    pad.draw();
    soon();
  };
  canvas.onpointermove = event => {
    if (!pad.down || points() >= MOST) return;
    const line = pad.lines[pad.lines.length - 1];
    for (const one of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) {
      const [x, y] = at(one);
      if (Math.abs(x - line[line.length - 2]) + Math.abs(y - line[line.length - 1]) >= NEAR) line.push(x, y);
    }
    pad.draw();
    soon();
  };
  const up = () => { if (pad.down) { pad.down = false; tell(); } };
  canvas.onpointerup = up;
  canvas.onpointercancel = up;
  parentElement.querySelector(".clear").onclick = () => { pad.lines = []; pad.draw(); tell(); };
  parentElement.querySelector(".undo").onclick = () => { pad.lines.pop(); pad.draw(); tell(); };
  pad.draw();
  return () => clearTimeout(pad.timer);
}
