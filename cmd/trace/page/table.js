// Tables that sort by any column, for the eye and for a screen reader. A column is {name, value(row), show(row), what,
// num}; `value` sorts, `show` gives text or an element. Long tables show their first rows and a button for more.
import { el } from './dom.js';
import { count } from './format.js';

const ROWS_AT_ONCE = 200;

function compare(a, b) {
    if (typeof a === 'string')
        return a.localeCompare(b, undefined, { numeric: true });
    return a - b;
}

export class Table {
    // options: {caption, columns, rows, sort (a column's name), open(row) for what unfolds below a row, empty}
    constructor(options) {
        Object.assign(this, { sort: null, down: true, shown: ROWS_AT_ONCE, empty: 'Nothing.' }, options);
        this.sort ??= this.columns[0].name;
        this.down = this.#column().num ?? false;
        this.unfolded = new Set();
        this.body = el('tbody');
        this.heads = this.columns.map((c) => this.#head(c));
        this.node = el('div', { class: 'table' }, el('table', {},
            el('caption', {}, this.caption), el('thead', {}, el('tr', {}, ...this.heads)), this.body));
        this.#fill();
    }

    // Opens a row, which comes first then.
    unfold(row) {
        this.unfolded.add(row);
        this.first = row;
        this.#fill();
    }

    #column() {
        return this.columns.find((c) => c.name === this.sort);
    }

    #head(column) {
        const button = el('button', { type: 'button', class: 'sort', title: column.what,
            onclick: () => this.sortBy(column) }, column.name);
        return el('th', { scope: 'col', class: column.num ? 'num' : undefined }, button);
    }

    sortBy(column) {
        this.down = this.sort === column.name ? !this.down : Boolean(column.num);
        this.sort = column.name;
        this.first = null;
        this.#fill();
    }

    #sorted() {
        const { value } = this.#column(), sign = this.down ? -1 : 1;
        const keyed = this.rows.map((row, i) => [value(row), i, row]);
        keyed.sort((a, b) => sign * compare(a[0], b[0]) || a[1] - b[1]);
        const rows = keyed.map(([, , row]) => row);
        return this.first ? [this.first, ...rows.filter((row) => row !== this.first)] : rows;
    }

    #fill() {
        this.columns.forEach((c, i) => {
            const state = c.name !== this.sort ? 'none' : this.down ? 'descending' : 'ascending';
            this.heads[i].setAttribute('aria-sort', state);
        });
        const rows = this.#sorted();
        this.body.replaceChildren(...rows.slice(0, this.shown).flatMap((row) => this.#rows(row)));
        if (!rows.length)
            this.body.append(this.#wide(el('span', { class: 'dim' }, this.empty)));
        if (rows.length > this.shown)
            this.body.append(this.#wide(el('button', { type: 'button', onclick: () => {
                this.shown *= 10;
                this.#fill();
            } }, `show more (${count(rows.length - this.shown)} not shown)`)));
    }

    #wide(...content) {
        return el('tr', { class: 'wide' }, el('td', { colspan: this.columns.length }, ...content));
    }

    #rows(row) {
        const cells = this.columns.map((c, i) => {
            const shown = c.show ? c.show(row) : String(c.value(row));
            const content = i === 0 && this.open ? [this.#opener(row), ' ', shown] : [shown];
            const tag = i === 0 ? 'th' : 'td';
            return el(tag, { class: c.num ? 'num' : 'name', scope: i === 0 ? 'row' : undefined }, ...content);
        });
        const line = el('tr', {}, ...cells);
        return this.unfolded.has(row) ? [line, this.#wide(this.open(row))] : [line];
    }

    #opener(row) {
        const open = this.unfolded.has(row);
        const button = el('button', { type: 'button', class: 'fold', 'aria-expanded': String(open),
            'aria-label': open ? 'fold' : 'unfold', onclick: () => {
                if (!this.unfolded.delete(row))
                    this.unfolded.add(row);
                const at = [...this.body.querySelectorAll('.fold')].indexOf(button);
                this.#fill();
                this.body.querySelectorAll('.fold')[at]?.focus();
            } }, open ? '▾' : '▸');
        return button;
    }
}

// Two lines in one cell: the figure, and smaller what explains it.
export function figure(main, sub) {
    return el('span', {}, main, sub ? el('span', { class: 'sub' }, sub) : null);
}
