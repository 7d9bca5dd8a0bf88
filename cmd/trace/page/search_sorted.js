// Finding places in sorted columns. Everything the page draws is found this way, so that what is drawn costs by
// what is seen and not by what was recorded.

// The first index in [lo, hi) whose value is >= v; hi when there is none.
export function lowerBound(column, lo, hi, v) {
    while (lo < hi) {
        const mid = (lo + hi) >>> 1;
        if (column[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// The first index in [lo, hi) whose value is > v.
export function upperBound(column, lo, hi, v) {
    while (lo < hi) {
        const mid = (lo + hi) >>> 1;
        if (column[mid] <= v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// As lowerBound, for an answer that is likely near lo: doubles its steps, then searches between the last two.
export function gallop(column, lo, hi, v) {
    let step = 1, at = lo;
    while (at < hi && column[at] < v) {
        lo = at + 1;
        at += step;
        step *= 2;
    }
    return lowerBound(column, lo, Math.min(at, hi), v);
}

export function gallopAbove(column, lo, hi, v) {
    let step = 1, at = lo;
    while (at < hi && column[at] <= v) {
        lo = at + 1;
        at += step;
        step *= 2;
    }
    return upperBound(column, lo, Math.min(at, hi), v);
}
