// Shows the kernel's HTML, and changes only what differs: focus, scrolling and a half-done click survive each poll.
const FILTERED_FROM = 9; // rows
const KEPT = new Set(['open', 'hidden']); // attributes that belong to the page

const isSame = (one, other) => one.nodeName === other.nodeName && one.dataset?.key === other.dataset?.key;

function update(shown, wanted) {
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.nodeValue !== wanted.nodeValue) shown.nodeValue = wanted.nodeValue;
    return;
  }
  for (const { name } of [...shown.attributes]) {
    if (!wanted.hasAttribute(name) && !KEPT.has(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  updateChildren(shown, wanted);
}

function updateChildren(shown, wanted) {
  const old = [...shown.childNodes];
  const next = [...wanted.childNodes];
  next.forEach((node, i) => {
    if (!old[i]) shown.append(node);
    else if (isSame(old[i], node)) update(old[i], node);
    else old[i].replaceWith(node);
  });
  old.slice(next.length).forEach((node) => node.remove());
}

function render({ model, el }) {
  el.classList.add('cl-picture');
  const bar = document.createElement('div');
  bar.className = 'cl-filter';
  const label = document.createElement('label');
  const field = document.createElement('input');
  field.type = 'search';
  const found = document.createElement('span');
  found.setAttribute('role', 'status');
  label.append('Filter ', field);
  bar.append(label, ' ', found);
  const scrolled = document.createElement('div');
  scrolled.className = 'cl-scrolled';
  el.append(bar, scrolled);

  const filter = () => {
    const rows = [...scrolled.querySelectorAll('.cl-table > tbody > tr')];
    bar.hidden = rows.length < FILTERED_FROM;
    const words = bar.hidden ? [] : field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const row of rows) {
      const cells = [...row.cells].filter((cell) => !cell.querySelector('.cl-row-actions'));
      const text = cells.map((cell) => cell.textContent).join(' ').toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) number += 1;
    }
    const said = words.length ? `${number} of ${rows.length}` : '';
    if (found.textContent !== said) found.textContent = said;
  };
  const draw = () => {
    const template = document.createElement('template');
    template.innerHTML = model.get('value');
    updateChildren(scrolled, template.content);
    filter();
    // What can be scrolled can be reached by keys.
    const isScrolled = scrolled.scrollWidth > scrolled.clientWidth || scrolled.scrollHeight > scrolled.clientHeight;
    if (isScrolled) {
      scrolled.tabIndex = 0;
      scrolled.setAttribute('role', 'region');
      scrolled.setAttribute('aria-label', model.get('label'));
    } else if (document.activeElement !== scrolled) {
      for (const name of ['tabindex', 'role', 'aria-label']) scrolled.removeAttribute(name);
    }
  };
  const act = (event) => {
    const button = event.target.closest?.('.cl-row-action');
    const key = button?.closest('[data-key]')?.dataset.key;
    if (key === undefined || button.disabled) return;
    try { model.send({ action: button.dataset.action, key }); } catch { /* the kernel is away */ }
  };
  field.addEventListener('input', filter);
  scrolled.addEventListener('click', act);
  model.on('change:value', draw);
  const sizes = new ResizeObserver(draw);
  sizes.observe(scrolled);
  draw();
  return () => {
    model.off('change:value', draw);
    sizes.disconnect();
  };
}

export default { render };
