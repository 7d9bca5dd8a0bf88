// Tasks and regions by name: how long they take as a rule, how long at worst, and the slowest ones to look at.
import { buckets, histogram, quantile } from './histogram.js';
import { count, duration, moment } from './format.js';
import { el, jump } from './dom.js';
import { SLICE_REGION, SLICE_TASK } from './trace.js';
import { Table } from './table.js';

const SLOWEST = 20;

// [{name, slices}] of a kind, the slices by length.
export function byName(trace, kind, span) {
    const groups = new Map();
    for (let i = 0; i < trace.nslices; i++) {
        if (trace.slice_kind[i] !== kind || !trace.touches(i, span))
            continue;
        let list = groups.get(trace.slice_name[i]);
        if (!list)
            groups.set(trace.slice_name[i], list = []);
        list.push(i);
    }
    return [...groups].map(([name, slices]) => {
        slices.sort((a, b) => trace.length(a) - trace.length(b));
        const lengths = Float64Array.from(slices, (i) => trace.length(i));
        return { name, slices, lengths, sum: lengths.reduce((a, b) => a + b, 0) };
    });
}

function instances(app, group, caption, slices) {
    const { trace } = app;
    const where = (i) => trace.threadOf(i) >= 0 ? trace.threadLabel(trace.threadOf(i)) : `task ${trace.slice_value[i]}`;
    return new Table({ caption, sort: 'took', rows: slices, columns: [
        { name: 'at', value: (i) => trace.slice_start[i], show: (i) => jump(moment(trace.slice_start[i]), () =>
            app.toItem({ type: 'slice', index: i, thread: trace.threadOf(i) }), 'show it in the timeline') },
        { name: 'took', num: true, value: (i) => trace.length(i), show: (i) => duration(trace.length(i)) },
        { name: 'on', value: where },
    ] }).node;
}

// What unfolds below a row: the histogram, and the instances of the bar that was clicked, at first the slowest.
function unfolded(app, group) {
    const list = el('div', { 'aria-live': 'polite' });
    const slowest = group.slices.slice(-SLOWEST).reverse();
    const show = (caption, slices) => list.replaceChildren(instances(app, group, caption, slices));
    show(slowest.length < group.slices.length ? `The ${SLOWEST} slowest` : 'All of them', slowest);
    const chart = histogram(group.lengths, (b) => {
        const inside = group.slices.filter((_, i) => group.lengths[i] >= b.from && group.lengths[i] < b.to);
        show(`${count(b.n)} that took ${duration(b.from)} to ${duration(b.to)}`, inside);
    });
    return el('div', { class: 'unfolded' }, el('div', {}, chart, el('p', { class: 'dim' },
        'Click a bar for the ones in it.')), list);
}

// A histogram as small as a word.
function spark(group) {
    const list = buckets(group.lengths), most = Math.max(...list.map((b) => b.n));
    const steps = '▁▂▃▄▅▆▇█';
    const text = list.map((b) => b.n ? steps[Math.round(b.n / most * (steps.length - 1))] : ' ').join('');
    return el('span', { class: 'spark', title: `${duration(list[0].from)} to ${duration(list.at(-1).to)}, logarithmic`,
        'aria-hidden': 'true' }, text);
}

function table(app, groups, caption, empty) {
    const at = (share) => ({ num: true, value: (g) => quantile(g.lengths, share),
        show: (g) => duration(quantile(g.lengths, share)) });
    return new Table({ caption, empty, rows: groups, sort: 'sum', open: (g) => unfolded(app, g), columns: [
        { name: 'name', value: (g) => app.trace.text(g.name) },
        { name: 'count', num: true, value: (g) => g.slices.length, show: (g) => count(g.slices.length) },
        { name: 'min', ...at(0) },
        { name: 'avg', num: true, value: (g) => g.sum / g.slices.length, show: (g) => duration(g.sum / g.slices.length) },
        { name: 'p50', what: 'half of them took no longer', ...at(0.5) },
        { name: 'p95', what: '95 in 100 took no longer', ...at(0.95) },
        { name: 'p99', what: '99 in 100 took no longer', ...at(0.99) },
        { name: 'max', num: true, value: (g) => g.lengths.at(-1), show: (g) => jump(duration(g.lengths.at(-1)), () =>
            app.toItem({ type: 'slice', index: g.slices.at(-1), thread: app.trace.threadOf(g.slices.at(-1)) }),
        'show the slowest in the timeline') },
        { name: 'sum', num: true, value: (g) => g.sum, show: (g) => duration(g.sum) },
        { name: 'spread', value: (g) => g.lengths.at(-1) / Math.max(1, g.lengths[0]), show: spark },
    ] }).node;
}

export function build(app) {
    const { trace } = app;
    return [table(app, byName(trace, SLICE_TASK, app.span), 'Tasks',
        'This trace has no tasks. prof_task_begin() and prof_task_end() in prof/trace.h make them.'),
    table(app, byName(trace, SLICE_REGION, app.span), 'Regions',
        'This trace has no regions. PROF_REGION("name") in prof/trace.h marks one.')];
}
