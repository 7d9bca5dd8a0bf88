// A histogram of durations: bars over a logarithmic axis, since latencies differ by powers of ten.
import { duration } from './format.js';
import { svg } from './dom.js';

const PER_DECADE = 5, WIDTH = 460, HEIGHT = 70, AXIS = 16;

// values: sorted. Returns [{from, to, n}], without empty buckets at either end.
export function buckets(values) {
    const index = (v) => Math.floor(Math.log10(Math.max(v, 1)) * PER_DECADE + 1e-9);
    const first = index(values[0]), last = index(values[values.length - 1]);
    const out = Array.from({ length: last - first + 1 }, (_, i) => ({
        from: 10 ** ((first + i) / PER_DECADE), to: 10 ** ((first + i + 1) / PER_DECADE), n: 0 }));
    for (const v of values)
        out[Math.min(index(v) - first, out.length - 1)].n++;
    return out;
}

export function quantile(sorted, share) {
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))];
}

// picked(bucket) is called when a bar is clicked.
export function histogram(values, picked) {
    const list = buckets(values), most = Math.max(...list.map((b) => b.n)), each = WIDTH / Math.max(list.length, 6);
    const parts = list.map((b, i) => {
        const h = b.n ? Math.max(2, b.n / most * (HEIGHT - AXIS - 4)) : 0;
        const bar = svg('rect', { x: i * each + 1, y: HEIGHT - AXIS - h, width: each - 2, height: h, class: 'bar',
            rx: 1.5 }, svg('title', {}));
        bar.firstChild.textContent = `${duration(b.from)} to ${duration(b.to)}: ${b.n}`;
        bar.addEventListener('click', () => picked(b));
        return bar;
    });
    const every = Math.max(1, Math.ceil(list.length / 6));
    for (let i = 0; i < list.length; i += every) {
        const label = svg('text', { x: i * each + 1, y: HEIGHT - 3, class: 'axis' });
        label.textContent = duration(list[i].from);
        parts.push(label);
    }
    return svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'histogram', role: 'img',
        'aria-label': `Histogram of ${values.length} durations from ${duration(values[0])} to ${
            duration(values[values.length - 1])}` }, ...parts);
}
