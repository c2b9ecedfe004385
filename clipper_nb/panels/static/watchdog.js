// One in each panel: reports to the kernel that the panel is visible, and to the user that the kernel is silent.
const SEEN_INTERVAL_MS = 5000;
const SILENCE_MS = 8000;

function render({ model, el }) {
  el.classList.add('cl-watchdog');
  // What a saved notebook shows instead of this panel is not shown beside it.
  const hidden = document.createElement('style');
  const saved = `#${CSS.escape(model.get('snapshot_id'))}`;
  hidden.textContent = `${saved}, .jp-OutputArea-child:has(${saved}) { display: none !important; }`;
  const banner = document.createElement('div');
  banner.className = 'cl-stale-banner';
  banner.setAttribute('role', 'alert');
  banner.hidden = true;
  el.append(hidden, banner);

  let heardAt = Date.now();
  let isOnScreen = false;
  let seenSince = null; // since when the kernel knows that the panel is visible
  const panel = () => el.closest('.cl-panel');

  const sayTheKernelIsSilent = () => {
    if (!banner.hidden) return;
    panel()?.classList.add('cl-stale');
    banner.textContent = `▲ Stale: no news from the kernel since ${model.get('clock') || 'it was shown'}. `
      + 'When the kernel was restarted, run the cell again.';
    banner.hidden = false;
  };
  const heard = () => {
    heardAt = Date.now();
    if (banner.hidden || model.get('is_closed')) return;
    panel()?.classList.remove('cl-stale');
    banner.hidden = true;
  };
  const close = () => {
    if (!model.get('is_closed')) return;
    panel()?.classList.add('cl-stale');
    banner.textContent = `■ Closed at ${model.get('clock')}.`;
    banner.hidden = false;
  };

  const look = () => {
    const isSeen = isOnScreen && document.visibilityState === 'visible';
    if (!isSeen) { seenSince = null; return; }
    if (seenSince === null) seenSince = Date.now();
    try { model.send({ seen: true }); } catch { /* the kernel is away */ }
  };
  const check = () => {
    if (model.get('is_closed') || seenSince === null) return;
    if (Date.now() - Math.max(heardAt, seenSince) > SILENCE_MS) sayTheKernelIsSilent();
  };

  model.on('change:tick', heard);
  model.on('change:is_closed', close);
  const seen = new IntersectionObserver((entries) => { isOnScreen = entries.at(-1).isIntersecting; look(); });
  const watch = requestAnimationFrame(() => { seen.observe(panel() || el); });
  document.addEventListener('visibilitychange', look);
  const timers = [setInterval(look, SEEN_INTERVAL_MS), setInterval(check, 1000)];
  close();
  return () => {
    model.off('change:tick', heard);
    model.off('change:is_closed', close);
    seen.disconnect();
    cancelAnimationFrame(watch);
    document.removeEventListener('visibilitychange', look);
    timers.forEach(clearInterval);
  };
}

// The lines to copy have their own button; the clipboard is the page's, so no kernel is asked.
function initialize() {
  if (window.clipperCopies) return;
  window.clipperCopies = true;
  sendWithKeys();
  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('.cl-panel .cl-copy');
    if (!button) return;
    const text = button.closest('.cl-copied').querySelector('pre').textContent;
    const said = (word) => { button.textContent = word; setTimeout(() => { button.textContent = 'Copy'; }, 2000); };
    navigator.clipboard.writeText(text).then(() => said('Copied'), () => said('Select and copy'));
  });
}

// Before the page's own shortcuts, which would run a cell.
function sendWithKeys() {
  window.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    const field = event.target.closest?.('.cl-panel .cl-input textarea');
    if (!field) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    field.dispatchEvent(new Event('change', { bubbles: true })); // the kernel has what was typed before the click
    field.closest('.cl-try-a-query').querySelector('.cl-send').click();
  }, true);
}

export default { initialize, render };
