/* What the files of mem_hot share: the run with memory from a way of labs/churn. */
#ifndef CMD_MEM_HOT_H
#define CMD_MEM_HOT_H

#include "labs/churn/churn.h"
#include "labs/gc/gc.h"

/* ---- churn.c --------------------------------------------------------------------------------- */

/* The flags as they were given; NULL or false where they were not. */
struct churn_flags {
    const char *alloc; /* the way's name */
    bool gc;           /* the same as alloc "gc" */
    const char *gogc, *gomemlimit;
    const char *gclog; /* file for the heap's history */
    int64_t keep, threads;
};

/* Whether the work is to be done by labs/churn. What contradicts itself ends the program (2). */
bool churn_wanted(const struct churn_flags *flags);
/* Does it and prints what it took; sum is the buffers' checksum. Settings that cannot be read end
 * the program (2). 0 or a negative errno. */
int churn_measure(const struct churn_flags *flags, size_t bytes, int count, bool hold,
                  uint64_t *sum);
/* After the checksum has been printed: what it took. */
void churn_print(void);

/* ---- predict.c ------------------------------------------------------------------------------- */

/* What decides how often is collected. */
struct prediction {
    double object_bytes; /* of memory for a buffer, with what points to it */
    int64_t count;       /* buffers */
    int64_t keep;        /* of them live at a time, at most */
    int percent;         /* GOGC */
};

/* The collections that the formula gives: one each time the heap has grown to live * (1 + GOGC /
 * 100), at least to 4 MB * GOGC / 100. */
int64_t predict_collections(const struct prediction *p);

/* ---- history.c ------------------------------------------------------------------------------- */

/* Remembers the heap's size before and after each collection, until history_write. path NULL:
 * nothing. What is wrong with it ends the program (1). */
void history_start(const char *path);
/* title: for people, one line. */
void history_write(const char *title, const struct gc_stats *at_end);

#endif
