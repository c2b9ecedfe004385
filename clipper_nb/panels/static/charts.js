
// Draws what the kernel sends: {x: [seconds before now], charts: [{title, unit, lines: [{label, values}]}]}.
const CHART_HEIGHT = 150;
const LEGEND_INTERVAL_MS = 10000; // how often a screen reader may hear of new figures
const DASHES = [[], [7, 4], [2, 3]];
const COLOURS = ['--cl-line-1', '--cl-line-2', '--cl-line-3'];

const lastNumber = (values) => {
  for (let i = values.length - 1; i >= Math.max(0, values.length - 5); i--) if (values[i] !== null) return values[i];
  return null;
};
const format = (value) => (value === null ? '–' : Number(value.toPrecision(3)).toLocaleString('en'));

class ChartView {
  constructor(root) {
    this.el = document.createElement('div');
    this.el.className = 'cl-chart';
    this.head = document.createElement('div');
    this.head.className = 'cl-chart-head';
    this.body = document.createElement('div');
    this.body.setAttribute('role', 'img');
    this.el.append(this.head, this.body);
    root.append(this.el);
    this.spokenAt = 0;
  }

  draw(x, chart, width) {
    const shape = JSON.stringify([chart.title, chart.unit, chart.lines.map((line) => line.label)]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.makeHead(chart);
      this.forget();
    }
    chart.lines.forEach((line, i) => { this.figures[i].textContent = format(lastNumber(line.values)); });
    if (Date.now() - this.spokenAt > LEGEND_INTERVAL_MS) {
      this.spokenAt = Date.now();
      const figures = chart.lines.map((line) => `${line.label} ${format(lastNumber(line.values))}`).join(', ');
      this.body.setAttribute('aria-label', `${chart.title}, ${chart.unit}, now: ${figures}`);
    }
    if (width < 80) return; // in a tab that is not shown
    const data = [x, ...chart.lines.map((line) => line.values)];
    if (!this.plot) this.plot = new uPlot(this.options(chart, width), data, this.body);
    else {
      if (width !== this.plot.width) this.plot.setSize({ width, height: CHART_HEIGHT });
      this.plot.setData(data);
    }
  }

  makeHead(chart) {
    const title = document.createElement('strong');
    title.textContent = chart.title;
    const unit = document.createElement('span');
    unit.className = 'cl-small';
    unit.textContent = chart.unit;
    this.head.replaceChildren(title, unit);
    this.figures = chart.lines.map((line, i) => {
      const legend = document.createElement('span');
      legend.className = 'cl-legend';
      const dash = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      dash.setAttribute('width', 18);
      dash.setAttribute('height', 8);
      dash.setAttribute('aria-hidden', 'true');
      dash.innerHTML = `<line x1="0" y1="4" x2="18" y2="4" stroke="var(${COLOURS[i]})" stroke-width="2"
        stroke-dasharray="${DASHES[i].join(' ')}"/>`;
      const figure = document.createElement('b');
      legend.append(dash, ` ${line.label} `, figure);
      this.head.append(legend);
      return figure;
    });
  }

  options(chart, width) {
    const style = getComputedStyle(this.el);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: style.color, font: '11px sans-serif', ticks: { show: false }, grid: { stroke: colour('--cl-grid'), width: 1 },
    };
    return {
      width, height: CHART_HEIGHT, legend: { show: false }, cursor: { y: false, drag: { x: false } },
      scales: { x: { time: false, range: () => [-120, 0] }, y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
      axes: [
        { ...axis, splits: () => [-120, -90, -60, -30, 0], values: (_plot, at) => at.map((s) => (s ? `${s} s` : 'now')) },
        { ...axis, size: 52 },
      ],
      series: [{}, ...chart.lines.map((line, i) => ({
        label: line.label, stroke: colour(COLOURS[i]), width: 1.5, dash: DASHES[i], spanGaps: false, points: { show: false },
      }))],
    };
  }

  forget() {
    this.plot?.destroy();
    this.plot = null;
  }
}

function render({ model, el }) {
  el.classList.add('cl-charts');
  const views = [];
  let isQueued = false;
  const draw = () => {
    isQueued = false;
    const { x = [], charts = [] } = model.get('drawing');
    while (views.length < charts.length) views.push(new ChartView(el));
    while (views.length > charts.length) { const view = views.pop(); view.forget(); view.el.remove(); }
    charts.forEach((chart, i) => views[i].draw(x, chart, Math.floor(views[i].el.clientWidth)));
  };
  const queue = () => { if (!isQueued) { isQueued = true; requestAnimationFrame(draw); } };
  const repaint = () => { views.forEach((view) => view.forget()); queue(); };
  model.on('change:drawing', queue);
  const sizes = new ResizeObserver(queue);
  sizes.observe(el);
  const themes = new MutationObserver(repaint);
  themes.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-name', 'class'] });
  queue();
  return () => {
    model.off('change:drawing', queue);
    sizes.disconnect();
    themes.disconnect();
    views.forEach((view) => view.forget());
  };
}

export default { render };
