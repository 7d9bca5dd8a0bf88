// The page's address keeps the view: #view=timeline&from=..&to=..&item=slice-12. What is written while one zooms replaces
// the entry of the browser's history; what a link does makes a new one, so that Back goes back.

export function read() {
    return new URLSearchParams(location.hash.slice(1));
}

function text(params) {
    const out = new URLSearchParams();
    for (const [name, value] of Object.entries(params))
        if (value !== '' && value !== null && value !== undefined)
            out.set(name, value);
    return `#${out}`;
}

export function replace(params) {
    history.replaceState(null, '', text(params));
}

export function push(params) {
    const next = text(params);
    if (next !== location.hash)
        history.pushState(null, '', next);
}
