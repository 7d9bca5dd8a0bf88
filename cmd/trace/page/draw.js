// Draws the lanes that are on the screen: intervals as pixels (paint.js), then what is few enough for the canvas's own
// drawing: words, counters, arrows, bands, the selection.
import { CPU_HEIGHT, MARK_HEIGHT, ROW_HEIGHT, STATE_HEIGHT } from './lanes.js';
import { LOCK, mix, NAMED_COUNT, OTHER, STATES } from './palette.js';
import { Pixels, paintMoments, paintRuns, paintSlices, paintStates } from './paint.js';
import { drawCounter } from './counter.js';
import { SLICE_BLOCK, SLICE_GC, SLICE_STOP, SLICE_SYSCALL, NONE } from './trace.js';
import { upperBound } from './search_sorted.js';

const ARROWS_MAX = 80; // more would hide what they explain: only the chosen one is drawn then
const PICKED_OF = 64; // slices in one column of pixels

function hash(text) {
    let h = 2166136261;
    for (let i = 0; i < text.length; i++)
        h = Math.imul(h ^ text.charCodeAt(i), 16777619);
    return (h ^ h >>> 15) >>> 0;
}

export class Drawing {
    constructor(canvas, trace) {
        this.canvas = canvas;
        this.context = canvas.getContext('2d', { alpha: false });
        this.trace = trace;
        this.pixels = new Pixels();
        this.runs = { starts: trace.run_start, ends: trace.run_end, sums: runningSum(trace.run_start, trace.run_end) };
        this.slices = { starts: trace.slice_start, ends: trace.slice_end, sums: trace.slice_sum };
        this.stops = stopBands(trace);
    }

    setColours(colours) {
        this.colours = colours;
        this.nameColours = new Map();
    }

    nameColour(id) {
        let colour = this.nameColours.get(id);
        if (colour === undefined) {
            const text = this.trace.text(id);
            colour = this.colours.named[hash(text) % NAMED_COUNT];
            this.nameColours.set(id, colour);
        }
        return colour;
    }

    threadColour(thread) {
        return thread === NONE ? this.colours.states[OTHER] : this.colours.named[thread % NAMED_COUNT];
    }

    sliceColour(i) {
        const kind = this.trace.slice_kind[i];
        const name = this.trace.slice_name[i];
        if (kind === SLICE_BLOCK || kind === SLICE_SYSCALL)
            return this.colours.states[this.trace.classOfName(name)];
        if (kind === SLICE_STOP)
            return this.colours.states[LOCK];
        return kind === SLICE_GC ? this.colours.named[NAMED_COUNT - 1] : this.nameColour(name);
    }

    // scene: {lanes, view {from, to}, scroll, width, height, ratio, found (a mask of slices or null), item, range}
    draw(scene) {
        const { width, height, ratio } = scene;
        const w = Math.max(1, Math.round(width * ratio)), h = Math.max(1, Math.round(height * ratio));
        if (this.canvas.width !== w || this.canvas.height !== h)
            Object.assign(this.canvas, { width: w, height: h });
        this.scene = scene;
        this.words = [];
        this.arrows = [];
        this.counters = [];
        this.view = { from: scene.view.from, perPixel: (scene.view.to - scene.view.from) / w };
        this.pixels.resize(w, h);
        this.pixels.data.fill(this.colours.background);
        for (const lane of this.#visible())
            this.#lane(lane);
        this.context.putImageData(this.pixels.image, 0, 0);
        this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
        this.#overlay();
    }

    #visible() {
        const { lanes, scroll, height } = this.scene;
        return lanes.list.filter((lane) => lane.y + lane.h > scroll && lane.y < scroll + height);
    }

    // From heights in the list of lanes to device pixels.
    #y(y) {
        return Math.round((y - this.scene.scroll) * this.scene.ratio);
    }

    #size(h) {
        return Math.max(1, Math.round(h * this.scene.ratio));
    }

    #lane(lane) {
        if (lane.kind === 'section')
            this.pixels.fill(0, this.pixels.width, this.#y(lane.y), this.#y(lane.y + lane.h), this.colours.stripe);
        else if (lane.kind === 'cpu')
            this.#cpu(lane);
        else if (lane.kind === 'counter')
            this.counters.push(lane);
        else if (lane.kind === 'thread')
            this.#thread(lane);
        else
            lane.rows.forEach(({ row, y }) => this.#row(row, lane.y + y));
    }

    #word(text, x0, x1, y, h, colour) {
        this.words.push({ text, x0: Math.max(0, x0), x1: Math.min(this.pixels.width, x1), y, h, ink: inkOn(colour) });
    }

    #cpu(lane) {
        const t = this.trace, range = [t.cpu_first[lane.cpu], t.cpu_first[lane.cpu + 1]];
        paintRuns(this.pixels, this.runs, range, this.view, this.#y(lane.y + 1), this.#size(CPU_HEIGHT),
            (i) => this.threadColour(t.run_thread[i]), this.colours.background,
            (i, x0, x1) => this.#word(t.run_thread[i] === NONE ? 'another process' : t.threadName(t.run_thread[i]), x0,
                x1, lane.y + 1, CPU_HEIGHT, this.threadColour(t.run_thread[i])));
    }

    #row(row, y) {
        const t = this.trace, range = [t.row_first[row], t.row_first[row + 1]];
        const { found } = this.scene;
        const faint = (i) => mix(this.colours.background, this.sliceColour(i), 0.3);
        const colourOf = found ? (i) => found[i] ? this.sliceColour(i) : faint(i) : (i) => this.sliceColour(i);
        paintSlices(this.pixels, this.slices, range, this.view, this.#y(y), this.#size(ROW_HEIGHT - 1), colourOf,
            this.colours.background, (i, x0, x1) => {
                this.#word(t.text(t.slice_name[i]), x0, x1, y, ROW_HEIGHT - 1, colourOf(i));
                if (t.slice_waker[i] !== NONE)
                    this.arrows.push(i);
            }, (i, j) => this.#foremost(i, j));
    }

    // Of slices within one column, the one that was searched for, else the longest; of very many, of the first ones.
    #foremost(i, j) {
        const { slice_start: starts, slice_end: ends } = this.trace, { found } = this.scene;
        let best = i;
        for (let k = i, last = Math.min(j, i + PICKED_OF); k < last; k++) {
            if (found?.[k])
                return k;
            if (ends[k] - starts[k] > ends[best] - starts[best])
                best = k;
        }
        return best;
    }

    #thread(lane) {
        const t = this.trace, { thread } = lane;
        paintStates(this.pixels, t, thread, this.view, this.#y(lane.y + lane.stateY), this.#size(STATE_HEIGHT),
            this.colours.states, (i, x0, x1) => this.#word(this.stateName(i), x0, x1, lane.y + lane.stateY,
                STATE_HEIGHT, this.colours.states[t.state_class[i]]));
        for (const { row, y } of lane.rows)
            this.#row(row, lane.y + y);
        if (lane.marksY !== undefined)
            this.#moments(t.mark_time, t.thread_mark_first, lane, lane.marksY, this.colours.found);
        if (lane.samplesY !== undefined)
            this.#moments(t.sample_time, t.thread_sample_first, lane, lane.samplesY, this.colours.states[OTHER]);
    }

    #moments(times, first, lane, y, colour) {
        paintMoments(this.pixels, times, [first[lane.thread], first[lane.thread + 1]], this.view, this.#y(lane.y + y),
            this.#size(MARK_HEIGHT - 1), colour, this.colours.background);
    }

    stateName(i) {
        const t = this.trace, slice = t.state_slice[i];
        return slice === NONE ? STATES[t.state_class[i]].name : t.text(t.slice_name[slice]);
    }

    // ---- over the pixels

    x(t) {
        const { view, width } = this.scene;
        return (t - view.from) / (view.to - view.from) * width;
    }

    #overlay() {
        const c = this.context;
        c.lineWidth = 1;
        this.#lines(c);
        this.counters.forEach((lane) => drawCounter(c, this, lane, lane.y - this.scene.scroll));
        this.#bands(c);
        this.#words(c);
        this.#arrows(c);
        this.#selection(c);
    }

    #lines(c) {
        c.strokeStyle = this.colours.line;
        c.beginPath();
        for (const lane of this.#visible()) {
            const y = Math.round(lane.y + lane.h - this.scene.scroll) - 0.5;
            c.moveTo(0, y);
            c.lineTo(this.scene.width, y);
        }
        c.stroke();
    }

    #words(c) {
        const { ratio, scroll } = this.scene;
        c.font = '11px system-ui, sans-serif';
        c.textBaseline = 'middle';
        const glyph = c.measureText('abcdefghij_12345').width / 16;
        for (const word of this.words) {
            const room = (word.x1 - word.x0) / ratio - 6;
            const fits = Math.floor(room / glyph);
            if (fits < 3)
                continue;
            const text = word.text.length <= fits ? word.text : `${word.text.slice(0, fits - 1)}…`;
            c.fillStyle = word.ink;
            c.fillText(text, word.x0 / ratio + 4, word.y - scroll + word.h / 2 + 0.5);
        }
    }

    #bands(c) {
        const { view, height } = this.scene;
        c.fillStyle = this.colours.band;
        let last = -1;
        for (let k = upperBound(this.stops.ends, 0, this.stops.ends.length, view.from);
            k < this.stops.starts.length && this.stops.starts[k] < view.to; k++) {
            const x0 = Math.max(this.x(this.stops.starts[k]), last), x1 = this.x(this.stops.ends[k]);
            if (x1 <= last)
                continue; // the column is drawn
            last = Math.max(x1, Math.floor(x0) + 1);
            c.fillRect(x0, 0, last - x0, height);
        }
    }

    // From where a thread let go (or signalled) to the wait that this ended.
    #arrows(c) {
        const { item } = this.scene;
        const chosen = item?.type === 'slice' ? item.index : -1;
        c.strokeStyle = c.fillStyle = this.colours.dim;
        c.globalAlpha = 0.7;
        for (const i of this.arrows.length > ARROWS_MAX ? [] : this.arrows)
            if (i !== chosen)
                this.#arrow(c, i);
        c.globalAlpha = 1;
        c.strokeStyle = c.fillStyle = this.colours.accent;
        c.lineWidth = 2;
        if (chosen >= 0 && this.trace.slice_waker[chosen] !== NONE)
            this.#arrow(c, chosen);
        c.lineWidth = 1;
    }

    #arrow(c, slice) {
        const { lanes, scroll, width } = this.scene, t = this.trace;
        const from = lanes.ofThread.get(t.slice_waker[slice]), to = lanes.ofThread.get(t.threadOf(slice));
        if (!from || !to)
            return;
        const x0 = this.x(t.slice_wake[slice]), x1 = this.x(t.slice_end[slice]);
        if (!(x0 < width + 50 && x1 > -50))
            return;
        const y0 = from.y + from.stateY + STATE_HEIGHT / 2 - scroll, y1 = to.y + to.stateY + STATE_HEIGHT / 2 - scroll;
        const bend = Math.max(10, Math.min(60, Math.abs(x1 - x0) / 2));
        c.beginPath();
        c.moveTo(x0, y0);
        c.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
        c.stroke();
        c.beginPath();
        c.moveTo(x1, y1);
        c.lineTo(x1 - 6, y1 - 3.5);
        c.lineTo(x1 - 6, y1 + 3.5);
        c.fill();
    }

    #selection(c) {
        const { range, item, height, lanes, scroll } = this.scene;
        if (range) {
            const x0 = this.x(range[0]), x1 = this.x(range[1]);
            c.fillStyle = this.colours.accent;
            c.globalAlpha = 0.13;
            c.fillRect(x0, 0, x1 - x0, height);
            c.globalAlpha = 1;
            c.fillRect(x0 - 0.5, 0, 1, height);
            c.fillRect(x1 - 0.5, 0, 1, height);
        }
        const box = item && this.boxOf(item, lanes);
        if (box) {
            const x0 = this.x(box.start) - 0.5, x1 = this.x(box.end) + 0.5;
            c.strokeStyle = this.colours.text;
            c.lineWidth = 2;
            c.strokeRect(Math.max(-4, x0), box.y - scroll, Math.max(3, Math.min(x1, this.scene.width + 4) -
                Math.max(-4, x0)), box.h);
            c.lineWidth = 1;
        }
    }

    // Where an item is drawn: its times, and its height in the list of lanes.
    boxOf(item, lanes) {
        const t = this.trace, i = item.index;
        const lane = lanes.ofThread.get(item.thread);
        if (item.type === 'slice') {
            const place = lanes.ofSlice(i);
            return place && { start: t.slice_start[i], end: t.slice_end[i], y: place.y, h: ROW_HEIGHT - 1 };
        }
        if (item.type === 'thread' && lane)
            return { start: t.thread_start[i], end: t.thread_end[i], y: lane.y + 1, h: lane.h - 2 };
        if (item.type === 'state' && lane)
            return { start: t.state_start[i], end: t.state_end[i], y: lane.y + lane.stateY, h: STATE_HEIGHT };
        if (item.type === 'run') {
            const cpu = lanes.list.find((l) => l.kind === 'cpu' && l.cpu === item.cpu);
            return cpu && { start: t.run_start[i], end: t.run_end[i], y: cpu.y + 1, h: CPU_HEIGHT };
        }
        if (item.type === 'mark' && lane)
            return { start: t.mark_time[i], end: t.mark_time[i], y: lane.y + lane.marksY, h: MARK_HEIGHT };
        if (item.type === 'sample' && lane)
            return { start: t.sample_time[i], end: t.sample_time[i], y: lane.y + lane.samplesY, h: MARK_HEIGHT };
        return undefined;
    }
}

// Black or white, whichever is easier to read on a colour.
function inkOn(packed) {
    const light = (packed & 255) * 0.299 + (packed >> 8 & 255) * 0.587 + (packed >> 16 & 255) * 0.114;
    return light > 112 ? '#10161c' : '#f4f7fa';
}

function runningSum(starts, ends) {
    const sums = new Float64Array(starts.length + 1);
    for (let i = 0; i < starts.length; i++)
        sums[i + 1] = sums[i] + ends[i] - starts[i];
    return sums;
}

// When the world stood still, by start.
function stopBands(t) {
    const list = [];
    for (const row of t.gcRows)
        for (let i = t.row_first[row]; i < t.row_first[row + 1]; i++)
            if (t.slice_kind[i] === SLICE_STOP)
                list.push(i);
    list.sort((a, b) => t.slice_start[a] - t.slice_start[b]);
    return { starts: Float64Array.from(list, (i) => t.slice_start[i]),
        ends: Float64Array.from(list, (i) => t.slice_end[i]) };
}
