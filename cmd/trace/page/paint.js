// Painting rows of intervals into pixels. A row costs by its pixels, not by its events: where several events fall into
// one column of pixels, their shares of it are looked up in running sums and stacked, so that nothing shorter than a
// pixel disappears and nothing is drawn twice.
import { CLASSES, UNKNOWN, mix } from './palette.js';
import { gallop, gallopAbove, upperBound } from './search_sorted.js';

export class Pixels {
    resize(width, height) {
        if (this.image && this.image.width === width && this.image.height === height)
            return;
        this.image = new ImageData(width, height);
        this.data = new Uint32Array(this.image.data.buffer);
        this.line = new Uint32Array(width);
        this.width = width;
        this.height = height;
    }

    fill(x0, x1, y0, y1, colour) {
        x0 = Math.max(0, x0);
        x1 = Math.min(this.width, x1);
        if (x0 >= x1)
            return;
        for (let y = Math.max(0, y0), to = Math.min(this.height, y1); y < to; y++)
            this.data.fill(colour, y * this.width + x0, y * this.width + x1);
    }

    // The line, in all rows from y0 to y1.
    repeat(y0, y1) {
        for (let y = Math.max(0, y0), to = Math.min(this.height, y1); y < to; y++)
            this.data.set(this.line, y * this.width);
    }

    column(x, y0, y1, colour) {
        const to = Math.min(this.height, y1);
        for (let y = Math.max(0, y0), at = y * this.width + x; y < to; y++, at += this.width)
            this.data[at] = colour;
    }
}

const shares = new Float64Array(CLASSES);

// One column with several states: stacked in the order of the classes, running at the bottom.
function stack(pixels, x, y, h, span, palette) {
    let bottom = y + h, left = 0;
    for (let c = 0; c < CLASSES; c++) {
        if (shares[c] <= 0 || c === UNKNOWN)
            continue;
        left += shares[c];
        const top = y + h - Math.round(h * Math.min(1, left / span));
        pixels.column(x, top, bottom, palette[c]);
        bottom = top;
    }
}

// Two long states that meet within a column: the larger one has it, or every edge would look like an event.
function larger() {
    let best = 0;
    for (let c = 1; c < CLASSES; c++)
        if (shares[c] > shares[best])
            best = c;
    return best;
}

// view: {from, perPixel}. label(i, x0, x1) is called for what is wide enough for a word.
export function paintStates(pixels, trace, thread, view, y, h, palette, label) {
    const { state_start: starts, state_end: ends, state_class: kinds } = trace;
    const [lo, hi] = trace.statesOf(thread);
    const { from, perPixel } = view;
    let i = upperBound(ends, lo, hi, from), x = 0;
    while (x < pixels.width && i < hi) {
        const a = from + x * perPixel, b = a + perPixel;
        if (starts[i] >= b) {
            x = Math.max(x + 1, Math.floor((starts[i] - from) / perPixel));
            continue;
        }
        if (starts[i] <= a && ends[i] >= b) {
            const to = Math.max(x + 1, Math.min(pixels.width, Math.floor((ends[i] - from) / perPixel)));
            if (kinds[i] !== UNKNOWN) // left blank
                pixels.fill(x, to, y, y + h, palette[kinds[i]]);
            if (to - x > 30)
                label(i, x, to);
            x = to;
        } else {
            const j = gallop(starts, i, hi, b);
            shares.fill(0);
            trace.addStates(i, j, a, b, shares);
            if (j - i <= 2) {
                const c = larger();
                if (c !== UNKNOWN)
                    pixels.column(x, y, y + h, palette[c]);
            } else {
                stack(pixels, x, y, h, perPixel, palette);
            }
            x++;
        }
        i = gallopAbove(ends, i, hi, from + x * perPixel);
    }
}

// Walks over intervals with gaps between them: starts, ends, and `sums`, the running sum of their lengths. whole(i, x, to)
// is called for an interval that fills columns of pixels, part(i, j, x, full) for a column that intervals i to j, j
// excluded, fill to a share.
function walk({ starts, ends, sums }, [lo, hi], { from, perPixel }, width, whole, part) {
    let i = upperBound(ends, lo, hi, from), x = 0;
    while (x < width && i < hi) {
        const a = from + x * perPixel, b = a + perPixel;
        if (starts[i] >= b) {
            x = Math.max(x + 1, Math.floor((starts[i] - from) / perPixel));
            continue;
        }
        if (starts[i] <= a && ends[i] >= b) {
            const to = Math.max(x + 1, Math.min(width, Math.round((ends[i] - from) / perPixel)));
            whole(i, x, to);
            x = to;
        } else {
            const j = gallop(starts, i, hi, b);
            const sum = sums[j] - sums[i] - Math.max(0, a - starts[i]) - Math.max(0, ends[j - 1] - b);
            // The edge of a long one is there or not; half a column would look like a short one.
            const edge = j - i === 1 && ends[i] - starts[i] > 3 * perPixel;
            part(i, j, x, edge ? Math.round(sum / perPixel) : Math.max(0.1, Math.min(1, sum / perPixel)));
            x++;
        }
        i = gallopAbove(ends, i, hi, from + x * perPixel);
    }
}

// What a CPU ran: columns that are shared are as high as they are full. label(i, x, to) is called for what is wide enough
// for a word.
export function paintRuns(pixels, columns, range, view, y, h, colourOf, background, label) {
    walk(columns, range, view, pixels.width, (i, x, to) => {
        const colour = colourOf(i);
        pixels.fill(x, to, y, y + h, colour);
        if (to - x > 3) // an edge, so that neighbours of one colour are two
            pixels.column(to - 1, y, y + h, mix(colour, background, 0.45));
        if (to - x > 30)
            label(i, x, to);
    }, (i, j, x, full) => pixels.column(x, y + h - Math.round(h * full), y + h, colourOf(i)));
}

// Slices: columns that are shared are as strong as they are full. One line of pixels is made, and put down h times.
// pick(i, j) says which of those that share a column gives it its colour.
export function paintSlices(pixels, columns, range, view, y, h, colourOf, background, label, pick) {
    const { line, width } = pixels;
    line.fill(background);
    walk(columns, range, view, width, (i, x, to) => {
        const colour = colourOf(i);
        line.fill(colour, x, to);
        if (to - x > 3)
            line[to - 1] = mix(colour, background, 0.45);
        if (to - x > 30)
            label(i, x, to);
    }, (i, j, x, full) => {
        if (full > 0)
            line[x] = mix(background, colourOf(pick(i, j)), 0.4 + 0.6 * full);
    });
    pixels.repeat(y, y + h);
}

// Moments: a stroke in every column that has one, stronger where there are many.
export function paintMoments(pixels, times, range, view, y, h, colour, background) {
    const { from, perPixel } = view, { line, width } = pixels;
    const end = from + width * perPixel, hi = range[1];
    line.fill(background);
    for (let i = gallop(times, range[0], hi, from); i < hi && times[i] < end;) {
        const x = Math.floor((times[i] - from) / perPixel);
        const next = Math.max(i + 1, gallop(times, i, hi, from + (x + 1) * perPixel));
        line[x] = line[x + 1] = mix(background, colour, Math.min(1, 0.55 + 0.15 * (next - i)));
        i = next;
    }
    pixels.repeat(y, y + h);
}
