// The timeline: what part of the trace is shown and what is chosen in it. Keyboard and mouse are input.js; drawing is
// draw.js; the panel below is details.js and totals.js.
import { Drawing } from './draw.js';
import { Lanes } from './lanes.js';
import { Labels } from './labels.js';
import { Overview, drawRuler } from './overview.js';
import { colours, onThemeChange } from './palette.js';
import { byId } from './dom.js';
import { timesOf } from './hit.js';

const NARROWEST_NS = 20; // of what can be shown: the trace's clock ticks no finer
const AROUND = 5; // lengths of what is revealed, to its left and right
const OVERVIEW_HEIGHT = 44, RULER_HEIGHT = 22;

export class Timeline {
    // changed(): something that belongs into the page's address did. chosen(): the item or range did.
    constructor(trace, { changed, chosen }) {
        this.trace = trace;
        this.changed = changed;
        this.chosen = chosen;
        this.view = { from: 0, to: trace.end };
        this.item = null;
        this.range = null;
        this.found = null;
        this.frames = []; // what the latest ones took, ms
        this.lanes = new Lanes(trace);
        this.scroller = byId('lanes');
        this.canvas = byId('plot');
        this.drawing = new Drawing(this.canvas, trace);
        this.overview = new Overview(byId('overview'), trace);
        this.labels = new Labels(this);
        this.#recolour();
        onThemeChange(() => this.#recolour());
        new ResizeObserver(() => this.redraw()).observe(this.scroller);
        this.scroller.addEventListener('scroll', () => this.redraw());
        this.relayout();
    }

    #recolour() {
        this.colours = colours();
        this.drawing.setColours(this.colours);
        this.redraw();
    }

    get width() {
        return Math.max(50, this.scroller.clientWidth - this.labels.width);
    }

    // ---- what is shown

    // Keeps the view within the trace and not narrower than makes sense.
    show(from, to) {
        const span = Math.min(Math.max(to - from, NARROWEST_NS), Math.max(this.trace.end, NARROWEST_NS));
        const middle = (from + to) / 2;
        const start = Math.min(Math.max(middle - span / 2, 0), Math.max(0, this.trace.end - span));
        this.view = { from: start, to: start + span };
        this.changed();
        this.redraw();
    }

    // Around a moment that stays where it is; factor < 1 shows less.
    zoom(factor, at = (this.view.from + this.view.to) / 2) {
        const { from, to } = this.view;
        const span = Math.min(Math.max((to - from) * factor, NARROWEST_NS), this.trace.end);
        const start = at - (at - from) / (to - from) * span;
        this.show(start, start + span);
    }

    pan(share) {
        const by = (this.view.to - this.view.from) * share;
        const clamped = Math.min(Math.max(by, -this.view.from), this.trace.end - this.view.to);
        this.show(this.view.from + clamped, this.view.to + clamped);
    }

    fit() {
        this.show(0, this.trace.end);
    }

    // Close up to what is chosen, with a margin.
    zoomToChosen() {
        const span = this.range ?? (this.item && timesOf(this.trace, this.item));
        if (!span)
            return;
        const margin = this.range ? 0 : Math.max((span[1] - span[0]) * 0.5, 500);
        this.show(span[0] - margin, span[1] + margin);
    }

    relayout() {
        this.lanes.layout();
        this.labels.build();
        this.redraw();
    }

    hideThread(thread) {
        this.lanes.hidden.add(thread);
        if (this.item?.thread === thread)
            this.select(null);
        this.relayout();
        this.changed();
    }

    // ---- what is chosen

    select(item) {
        this.item = item;
        if (item)
            this.range = null;
        this.chosen();
        this.changed();
        this.redraw();
    }

    setRange(range, finished) {
        this.range = range;
        if (range)
            this.item = null;
        if (finished || !range) {
            this.chosen();
            this.changed();
        }
        this.redraw();
    }

    // Chooses an item and makes sure that it can be seen: its thread is shown, its time is in view and wide enough.
    reveal(item) {
        if (item.thread >= 0 && item.thread !== undefined && !this.lanes.ofThread.has(item.thread))
            this.#unhide(item.thread);
        if (item.type === 'slice' && item.thread < 0 && !this.lanes.ofSlice(item.index)) {
            this.lanes.folded.clear();
            this.relayout();
        }
        const [start, end] = timesOf(this.trace, item), { from, to } = this.view;
        const span = to - from, length = end - start;
        if (item.type === 'thread')
            this.show(start, end);
        else if (length > span || length < span / 400)
            this.show(start - Math.max(length, 1000) * AROUND, end + Math.max(length, 1000) * AROUND);
        else if (start < from || end > to)
            this.show((start + end) / 2 - span / 2, (start + end) / 2 + span / 2);
        this.select(item);
        const box = this.drawing.boxOf(item, this.lanes);
        if (box)
            this.scrollTo(box.y);
    }

    #unhide(thread) {
        this.lanes.hidden.delete(thread);
        this.lanes.folded.delete('threads');
        if (!this.lanes.matches(thread)) {
            this.lanes.filter = '';
            byId('filter').value = '';
        }
        this.relayout();
    }

    scrollTo(y) {
        const { scrollTop, clientHeight } = this.scroller;
        if (y < scrollTop + 20 || y > scrollTop + clientHeight - 60)
            this.scroller.scrollTop = Math.max(0, y - clientHeight / 2);
    }

    // ---- drawing

    redraw() {
        this.pending ??= requestAnimationFrame(() => {
            this.pending = null;
            if (this.scroller.clientHeight > 0)
                this.drawNow();
        });
    }

    drawNow() {
        const began = performance.now();
        const width = this.width, height = this.scroller.clientHeight, ratio = window.devicePixelRatio || 1;
        this.canvas.style.width = `${width}px`;
        this.canvas.style.height = `${height}px`;
        this.drawing.draw({ lanes: this.lanes, view: this.view, scroll: this.scroller.scrollTop, width, height, ratio,
            found: this.found, item: this.item, range: this.range });
        this.overview.draw(this.view, width, OVERVIEW_HEIGHT, ratio, this.colours);
        drawRuler(byId('ruler'), this.view, width, RULER_HEIGHT, ratio, this.colours);
        this.frames.push(performance.now() - began);
        if (this.frames.length > 200)
            this.frames.shift();
    }

    timeAt(x) {
        return this.view.from + x / this.width * (this.view.to - this.view.from);
    }
}
