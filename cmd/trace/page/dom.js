// Making elements. Names in a trace come from somebody's program: they only ever become text nodes.

export function el(tag, props = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
        if (value === undefined || value === null || value === false)
            continue;
        if (name.startsWith('on'))
            node.addEventListener(name.slice(2), value);
        else if (name === 'class')
            node.className = value;
        else
            node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.filter((c) => c !== undefined && c !== null));
    return node;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, props = {}, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(props))
        node.setAttribute(name, value);
    node.append(...children);
    return node;
}

export const byId = (id) => document.getElementById(id);

// A button that looks like a link: it goes somewhere in this page.
export function jump(text, onclick, title) {
    return el('button', { class: 'jump', type: 'button', onclick, title }, text);
}
