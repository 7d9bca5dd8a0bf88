/* A TrackEvent becomes a raw event: what libprof's annotations say goes into fields of its own,
 * what anybody else's say is kept as it is. */
#include "cmd/trace/reader.h"

#include <endian.h>
#include <string.h>

enum {
    EVENT_CATEGORY_IIDS = 3,
    EVENT_ANNOTATIONS = 4,
    EVENT_TYPE = 9,
    EVENT_NAME_IID = 10,
    EVENT_TRACK = 11,
    EVENT_CATEGORIES = 22,
    EVENT_NAME = 23,
    EVENT_COUNTER = 30,
    EVENT_DOUBLE_COUNTER = 44,
    EVENT_FLOWS = 47,
    EVENT_ENDING_FLOWS = 48,
    EVENT_STACK = 55,
    EVENT_STACK_IID = 56,
};
enum { TYPE_COUNTER = 4 };
enum {
    ARG_NAME_IID = 1,
    ARG_BOOL,
    ARG_UINT,
    ARG_INT,
    ARG_DOUBLE,
    ARG_STRING,
    ARG_POINTER,
    ARG_NAME = 10,
    ARG_STRING_IID = 17,
};

struct event {
    struct raw raw;
    uint64_t track, parent_task;
    double counter;
    uint32_t log_category; /* string */
    uint32_t nargs, nflows;
};

static double as_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* ---- annotations ----------------------------------------------------------------------------- */

static void set_arg_value(struct reader *r, struct sequence *s, struct trace_arg *a,
                          struct message_field *f)
{
    switch (f->number) {
    case ARG_BOOL:
    case ARG_UINT:
    case ARG_POINTER:
        a->type = TRACE_ARG_UINT;
        a->uint = f->value;
        break;
    case ARG_INT:
        a->type = TRACE_ARG_INT;
        a->sint = (int64_t)f->value;
        break;
    case ARG_DOUBLE:
        a->type = TRACE_ARG_DOUBLE;
        a->real = as_double(f->value);
        break;
    case ARG_STRING:
        a->type = TRACE_ARG_TEXT;
        a->uint = 0;
        a->text = reader_string(r, &f->bytes);
        break;
    case ARG_STRING_IID:
        a->type = TRACE_ARG_TEXT;
        a->uint = 0;
        a->text = id_map_get(&s->arg_texts, f->value);
        a->text = a->text == TRACE_NONE ? KNOWN_EMPTY : a->text;
        break;
    }
}

/* True: it has a field of its own. */
static bool take_arg(struct event *e, const struct trace_arg *a)
{
    struct trace_slice *s = &e->raw.s;
    bool text = a->type == TRACE_ARG_TEXT;

    if (a->name == KNOWN_CATEGORY && text) {
        e->log_category = a->text;
    } else if (a->name == KNOWN_START_FUNCTION && text) {
        s->holder = a->text;
    } else if (text || a->type == TRACE_ARG_DOUBLE) {
        return false;
    } else if (a->name == KNOWN_LOCK || a->name == KNOWN_FD || a->name == KNOWN_TASK ||
               a->name == KNOWN_NUMBER || a->name == KNOWN_DROPPED) {
        s->value = a->uint;
        s->flags |= TRACE_HAS_VALUE;
    } else if (a->name == KNOWN_HOLDER) {
        s->holder = (uint32_t)a->uint;
    } else if (a->name == KNOWN_WOKEN_BY || a->name == KNOWN_CREATOR) {
        s->waker = (uint32_t)a->uint;
    } else if (a->name == KNOWN_PARENT) {
        e->parent_task = a->uint;
    } else {
        return false;
    }
    return true;
}

static void read_annotation(struct reader *r, struct sequence *s, struct event *e, struct message m)
{
    struct trace_arg a = {.name = TRACE_NONE};
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == ARG_NAME_IID)
            a.name = id_map_get(&s->arg_names, f.value);
        else if (f.number == ARG_NAME)
            a.name = reader_string(r, &f.bytes);
        else
            set_arg_value(r, s, &a, &f);
    }
    if (a.name == TRACE_NONE || take_arg(e, &a))
        return;
    struct trace *t = r->t;
    t->args = array_grow(t->args, t->nargs, &r->cargs, sizeof *t->args);
    if (e->nargs++ == 0)
        e->raw.s.args = t->nargs;
    t->args[t->nargs++] = a;
}

/* ---- the event ------------------------------------------------------------------------------- */

static void set_category(struct event *e, uint32_t category)
{
    if (e->raw.s.category == KNOWN_EMPTY && category != TRACE_NONE)
        e->raw.s.category = category;
}

static void read_categories(struct sequence *s, struct event *e, struct message_field *f)
{
    uint64_t iid = f->value;

    if (f->type == MESSAGE_VARINT || message_varint(&f->bytes, &iid))
        set_category(e, id_map_get(&s->categories, iid));
}

/* Those of one event follow one another in the list; the event has the first one's place plus one.
 */
static void add_flow_id(struct reader *r, struct event *e, uint64_t id)
{
    if (!id)
        return;
    r->flow_ids = array_grow(r->flow_ids, r->nflow_ids, &r->cflow_ids, sizeof *r->flow_ids);
    if (e->nflows++ == 0)
        e->raw.s.end_ns = (int64_t)r->nflow_ids + 1;
    else
        r->flow_ids[r->nflow_ids - 1].last = false;
    r->flow_ids[r->nflow_ids++] = (struct flow_id){id, true};
}

/* As numbers, or as packed ones. */
static void read_flow(struct reader *r, struct event *e, struct message_field *f)
{
    uint64_t id;

    if (f->number == EVENT_ENDING_FLOWS)
        e->raw.s.flags |= RAW_FLOW_ENDS;
    if (f->type == MESSAGE_FIXED64)
        add_flow_id(r, e, f->value);
    for (; f->type == MESSAGE_BYTES && message_size(&f->bytes) >= 8; f->bytes.at += 8) {
        memcpy(&id, f->bytes.at, 8);
        add_flow_id(r, e, le64toh(id));
    }
}

static uint32_t or_empty(uint32_t string)
{
    return string == TRACE_NONE ? KNOWN_EMPTY : string;
}

static void read_field(struct reader *r, struct sequence *s, struct event *e,
                       struct message_field *f)
{
    struct trace_slice *to = &e->raw.s;

    switch (f->number) {
    case EVENT_CATEGORY_IIDS:
        read_categories(s, e, f);
        break;
    case EVENT_ANNOTATIONS:
        read_annotation(r, s, e, f->bytes);
        break;
    case EVENT_TYPE:
        to->depth = f->value > TYPE_COUNTER ? RAW_NONE : (uint8_t)f->value;
        break;
    case EVENT_NAME_IID:
        to->name = or_empty(id_map_get(&s->names, f->value));
        break;
    case EVENT_TRACK:
        e->track = f->value;
        break;
    case EVENT_CATEGORIES:
        set_category(e, reader_string(r, &f->bytes));
        break;
    case EVENT_NAME:
        to->name = reader_string(r, &f->bytes);
        break;
    case EVENT_COUNTER:
        e->counter = (double)(int64_t)f->value;
        break;
    case EVENT_DOUBLE_COUNTER:
        e->counter = as_double(f->value);
        break;
    case EVENT_FLOWS:
    case EVENT_ENDING_FLOWS:
        read_flow(r, e, f);
        break;
    case EVENT_STACK:
        to->stack = read_inline_stack(r, f->bytes);
        break;
    case EVENT_STACK_IID:
        to->stack = id_map_get(&s->stacks, f->value);
        to->stack = to->stack == TRACE_NONE ? 0 : to->stack;
        break;
    }
}

static void add_value(struct reader *r, const struct event *e)
{
    r->values = array_grow(r->values, r->nvalues, &r->cvalues, sizeof *r->values);
    r->values[r->nvalues++] = (struct raw_value){e->raw.s.start_ns, e->counter, e->raw.s.track};
}

/* Where one field serves several purposes, its category tells which. */
static void settle(struct event *e)
{
    struct trace_slice *s = &e->raw.s;

    if (s->category == KNOWN_TASK)
        s->end_ns = (int64_t)e->parent_task;
    if (s->category == KNOWN_LOG && e->log_category != KNOWN_EMPTY) {
        s->category = e->log_category;
        s->kind = TRACE_INSTANT_LOG;
    }
}

void read_track_event(struct reader *r, struct sequence *s, int64_t ns, struct message m)
{
    struct event e = {.raw.s = {.start_ns = ns, .args = TRACE_NONE}, .track = s->default_track};
    struct message_field f;

    while (message_next(&m, &f))
        read_field(r, s, &e, &f);
    if (e.nargs)
        r->t->args[r->t->nargs - 1].last = true;
    if (e.raw.s.depth == RAW_NONE)
        return;
    e.raw.s.track = track_of(r, e.track);
    if (e.raw.s.depth == RAW_COUNTER) {
        add_value(r, &e);
        return;
    }
    settle(&e);
    r->raws = array_grow(r->raws, r->nraws, &r->craws, sizeof *r->raws);
    r->raws[r->nraws++] = e.raw;
}
