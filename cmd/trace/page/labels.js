// The names at the left of the lanes. They are ordinary elements in the scrolled area, so the browser moves them, and
// the keyboard reaches them.
import { byId, el } from './dom.js';
import { STATES } from './palette.js';
import { duration, percent, quantity } from './format.js';
import { peak } from './counter.js';

export class Labels {
    constructor(timeline) {
        this.timeline = timeline;
        this.root = byId('labels');
    }

    get width() {
        return this.root.offsetWidth;
    }

    build() {
        const { lanes } = this.timeline;
        this.root.style.height = `${lanes.height}px`;
        this.root.replaceChildren(...lanes.list.map((lane) => this.#label(lane)));
    }

    #label(lane) {
        const node = this[`_${lane.kind}`]?.(lane) ?? el('div', { class: 'label' }, el('span', { class: 'who' },
            lane.name, lane.more ? el('span', { class: 'dim' }, ` (${lane.more} rows more)`) : null));
        node.style.top = `${lane.y}px`;
        node.style.height = `${lane.h}px`;
        return node;
    }

    _section(lane) {
        const { lanes } = this.timeline;
        return el('button', { class: 'label section', type: 'button', 'aria-expanded': String(!lane.folded),
            onclick: () => {
                if (!lanes.folded.delete(lane.key))
                    lanes.folded.add(lane.key);
                this.timeline.relayout();
                [...this.root.querySelectorAll('.section')].find((n) => n.textContent.endsWith(lane.name))?.focus();
            } }, lane.folded ? '▸ ' : '▾ ', lane.name);
    }

    _cpu(lane) {
        return el('div', { class: 'label' }, el('span', { class: 'who' },
            `CPU ${this.timeline.trace.cpu_number[lane.cpu]}`));
    }

    _counter(lane) {
        const { trace } = this.timeline;
        const most = peak(trace, lane.counter), unit = trace.text(trace.counter_unit[lane.counter]);
        return el('div', { class: 'label' }, el('span', { class: 'who' }, trace.text(trace.counter_name[lane.counter])),
            el('span', { class: 'start dim' }, Number.isNaN(most) ? 'no values' : `at most ${quantity(most, unit)}`));
    }

    _thread(lane) {
        const { trace } = this.timeline, { thread } = lane;
        const name = trace.threadName(thread), start = trace.startFunction(thread);
        return el('div', { class: 'label thread', title: this.#hint(thread), 'data-thread': thread },
            el('button', { class: 'who', type: 'button', onclick: () => this.timeline.select({ type: 'thread',
                index: thread, thread }) }, name, el('span', { class: 'dim' }, ` ${trace.thread_tid[thread]}`)),
            start && start !== name ? el('span', { class: 'start dim' }, start) : null,
            el('button', { class: 'hide', type: 'button', title: `hide ${name}`, 'aria-label': `hide ${name}`,
                onclick: () => this.timeline.hideThread(thread) }, '×'));
    }

    #hint(thread) {
        const { trace } = this.timeline, times = trace.times(thread);
        const life = trace.thread_end[thread] - trace.thread_start[thread];
        const parts = STATES.map((s, c) => [s.name, times[c]]).filter(([, t]) => t > 0)
            .map(([n, t]) => `${n} ${duration(t)} (${percent(t, life)})`);
        return [`${trace.threadName(thread)}, thread ${trace.thread_tid[thread]}`, ...parts].join('\n');
    }
}
