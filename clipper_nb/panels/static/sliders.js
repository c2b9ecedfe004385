// A slider and a number for each share. The kernel answers each move with all shares, whose sum is 100 %.
const SETTLED_MS = 400; // after a move the kernel's answers to earlier ones must not pull the slider back

function shown(perCent) {
  return Number(perCent.toPrecision(4));
}

function makeRow(target, send) {
  const root = document.createElement('div');
  root.className = 'cl-slider';
  root.dataset.key = target;
  const name = document.createElement('code');
  name.className = 'cl-chip';
  name.textContent = target;
  const slider = document.createElement('input');
  Object.assign(slider, { type: 'range', min: 0, max: 100, step: 1 });
  slider.setAttribute('aria-label', `Share of ${target}`);
  const field = document.createElement('input');
  Object.assign(field, { type: 'number', min: 0, max: 100, step: 'any' });
  field.setAttribute('aria-label', `Per cent of ${target}`);
  const unit = document.createElement('span');
  unit.textContent = '%';
  for (const input of [slider, field]) {
    input.setAttribute('data-lm-suppress-shortcuts', 'true'); // arrow keys move the slider, and not through the notebook
  }
  const both = document.createElement('span');
  both.append(slider, field, unit);
  root.append(name, both);
  const row = { root, slider, field, filled: '', movedAt: -Infinity };
  slider.addEventListener('input', () => send(row, target, slider.valueAsNumber));
  const take = () => {
    if (!field.validity.valid || field.value === '' || field.value === row.filled) return;
    row.filled = field.value;
    send(row, target, field.valueAsNumber);
  };
  field.addEventListener('change', take);
  field.addEventListener('keydown', (event) => { if (event.key === 'Enter') take(); });
  return row;
}

function render({ model, el }) {
  el.classList.add('cl-sliders');
  const rows = new Map(); // by target
  let later;
  const send = (row, target, perCent) => {
    row.movedAt = performance.now();
    clearTimeout(later);
    later = setTimeout(draw, SETTLED_MS + 50);
    try { model.send({ target, per_cent: perCent }); } catch { /* the kernel is away */ }
  };
  const fill = (row, perCent) => {
    const isMoving = performance.now() - row.movedAt < SETTLED_MS;
    const value = String(shown(perCent));
    if (!isMoving) row.slider.value = value;
    const isTyping = document.activeElement === row.field && row.field.value !== row.filled;
    if (!isTyping || isMoving) row.field.value = row.filled = value;
    row.slider.setAttribute('aria-valuetext', `${value} %`);
    row.slider.disabled = row.field.disabled = !model.get('is_enabled');
  };
  function draw() {
    const shares = model.get('shares');
    const wanted = new Set(shares.map(([target]) => target));
    for (const [target, row] of rows) {
      if (!wanted.has(target)) { row.root.remove(); rows.delete(target); }
    }
    shares.forEach(([target, perCent], i) => {
      if (!rows.has(target)) rows.set(target, makeRow(target, send));
      const row = rows.get(target);
      if (el.children[i] !== row.root) el.insertBefore(row.root, el.children[i] ?? null);
      fill(row, perCent);
    });
  }
  for (const name of ['change:shares', 'change:is_enabled']) model.on(name, draw);
  draw();
  return () => {
    clearTimeout(later);
    for (const name of ['change:shares', 'change:is_enabled']) model.off(name, draw);
  };
}

export default { render };
