// The strip above the timeline: the whole trace, as the number of threads in each state over time, with a frame around
// what the timeline shows. Also the ruler.
import { CLASSES, UNKNOWN, SLEEP, WAIT, OTHER, IO } from './palette.js';
import { tick } from './format.js';

const BUCKETS = 2048;
const QUIET = [SLEEP, WAIT, IO, OTHER, UNKNOWN]; // left out: hundreds of sleeping threads would hide the busy ones

// Nanoseconds of all threads in each class, for each of BUCKETS parts of the trace.
function sumBuckets(trace) {
    const sums = new Float64Array(BUCKETS * CLASSES), each = trace.end / BUCKETS;
    const { state_start: starts, state_end: ends, state_class: kinds } = trace;
    for (let i = 0; i < kinds.length; i++) {
        let b = Math.max(0, Math.floor(starts[i] / each));
        for (let t = starts[i]; t < ends[i] && b < BUCKETS; b++) {
            const end = Math.min(ends[i], (b + 1) * each);
            sums[b * CLASSES + kinds[i]] += end - t;
            t = end;
        }
    }
    return sums;
}

export class Overview {
    constructor(canvas, trace) {
        this.canvas = canvas;
        this.trace = trace;
        this.sums = sumBuckets(trace);
        this.top = 1;
        for (let b = 0; b < BUCKETS; b++)
            this.top = Math.max(this.top, this.#busy(b));
    }

    #busy(b) {
        let sum = 0;
        for (let c = 0; c < CLASSES; c++)
            if (!QUIET.includes(c))
                sum += this.sums[b * CLASSES + c];
        return sum;
    }

    // One pixel's worth of buckets, the average of them.
    #column(c, x, width, height, colours) {
        const b0 = Math.floor(x / width * BUCKETS), b1 = Math.max(b0 + 1, Math.floor((x + 1) / width * BUCKETS));
        let y = height;
        for (let k = 0; k < CLASSES; k++) {
            let sum = 0;
            for (let b = b0; b < b1; b++)
                sum += this.sums[b * CLASSES + k];
            if (QUIET.includes(k) || !sum)
                continue;
            const h = sum / (b1 - b0) / this.top * (height - 3);
            c.fillStyle = colours.css[k];
            c.fillRect(x, y - h, 1, h);
            y -= h;
        }
    }

    // What does not change while one zooms and moves.
    #strip(width, height, ratio, colours) {
        const key = [width, height, ratio, colours.dark].join();
        if (this.key === key)
            return this.image;
        this.key = key;
        this.image = new OffscreenCanvas(Math.round(width * ratio), Math.round(height * ratio));
        const c = this.image.getContext('2d');
        c.scale(ratio, ratio);
        for (let x = 0; x < width; x++)
            this.#column(c, x, width, height, colours);
        return this.image;
    }

    draw(view, width, height, ratio, colours) {
        const { canvas } = this, c = fitted(canvas, width, height, ratio);
        c.clearRect(0, 0, width, height);
        c.drawImage(this.#strip(width, height, ratio, colours), 0, 0, width, height);
        const x0 = view.from / this.trace.end * width, x1 = view.to / this.trace.end * width;
        c.fillStyle = colours.dark ? 'rgba(20,24,29,.65)' : 'rgba(255,255,255,.7)';
        c.fillRect(0, 0, x0, height);
        c.fillRect(x1, 0, width - x1, height);
        c.strokeStyle = colours.accent;
        c.lineWidth = 1.5;
        c.strokeRect(x0 + 0.75, 0.75, Math.max(2, x1 - x0) - 1.5, height - 1.5);
    }
}

// A canvas's context, for CSS pixels; the canvas gets its size when that has changed.
function fitted(canvas, width, height, ratio) {
    const w = Math.round(width * ratio), h = Math.round(height * ratio), c = canvas.getContext('2d');
    if (canvas.width !== w || canvas.height !== h) {
        Object.assign(canvas, { width: w, height: h });
        Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    return c;
}

// 1, 2 or 5 times a power of ten: about `most` steps.
function niceStep(span, most) {
    const raw = span / Math.max(1, most), power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].map((k) => k * power).find((step) => step >= raw);
}

export function drawRuler(canvas, view, width, height, ratio, colours) {
    const c = fitted(canvas, width, height, ratio);
    c.clearRect(0, 0, width, height);
    c.font = '11px system-ui, sans-serif';
    c.textBaseline = 'middle';
    c.fillStyle = colours.dim;
    c.strokeStyle = colours.line;
    const step = niceStep(view.to - view.from, width / 110);
    c.beginPath();
    for (let k = Math.ceil(view.from / step); k * step <= view.to; k++) {
        const x = Math.round((k * step - view.from) / (view.to - view.from) * width) + 0.5;
        c.moveTo(x, 0);
        c.lineTo(x, height);
        c.fillText(tick(k * step, step, view.to), x + 4, height / 2);
    }
    c.stroke();
}
