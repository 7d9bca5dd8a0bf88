/* What the files of the demo server know of one another.
 * main.c starts and stops, route.c takes requests, param.c reads their parameters, limit.c admits
 * them, work.c does the work, page.c shows what there is. */
#ifndef CMD_SERVER_H
#define CMD_SERVER_H

#include "prof/http.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct options {
    const char *address;
    int64_t hold_bytes;   /* the most that /work/mem may have allocated */
    int64_t leak_seconds; /* how long leaked threads stay */
    bool flight;          /* the flight recorder runs */
    int64_t slower_ns;    /* a request that takes longer is traced; 0: none is */
    int64_t tail_ns;      /* its trace goes on so long after it */
    const char *trace_folder;
};
extern struct options options;

/* ---- param.c --------------------------------------------------------------------------------- */

enum { MAX_PARAMS = 6 };

enum param_kind { PARAM_INT, PARAM_BOOL, PARAM_CHOICE };

/* A parameter of a route. A CHOICE's value is an index into `choices`. */
struct param {
    const char *name;
    enum param_kind kind;
    int64_t min, max, def;
    const char *const *choices; /* NULL-terminated */
};

struct reply {
    int status;
    char text[512]; /* with its newline */
};

/* Reads the query into values, one for each of the parameters (which end with a NULL name). False:
 * a parameter is wrong, and the reply says which and what it takes. */
bool params_read(struct MHD_Connection *connection, const struct param *params, int64_t *values,
                 struct reply *reply);
void reply_set(struct reply *reply, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- limit.c --------------------------------------------------------------------------------- */

/* What a piece of work takes while it runs. */
struct cost {
    int64_t threads;
    int64_t cpu_ns; /* about */
    int64_t bytes;
};

/* False: the server has no room for it now, and the reply says of what. */
bool limit_admit(const struct cost *cost, struct reply *reply);
/* The work is done. Its bytes stay counted when they are held. */
void limit_done(const struct cost *cost, bool held);
/* Held bytes were freed. */
void limit_free(int64_t bytes);
int64_t limit_bytes(void);

/* ---- work.c ---------------------------------------------------------------------------------- */

/* A route: values are those of its parameters, in order. */
struct route {
    const char *path;
    const char *what;           /* for the page */
    const char *examples[4];    /* queries for the page's curl lines */
    const struct param *params; /* NULL: it takes none */
    const char *note;           /* what the parameters' ranges do not say; NULL: nothing */
    int impl;                   /* which of the values is the impl; -1: none */
    void (*run)(const int64_t *values, struct reply *reply);
};
extern const struct route routes[]; /* ends with a NULL path */

int work_start(void);
/* Ends the leaked threads and frees all that is held. */
void work_stop(void);

/* ---- slow.c ---------------------------------------------------------------------------------- */

/* Starts the flight recorder if an option wants it. 0, or a negative errno. */
int slow_start(void);
/* Ends a snapshot that waits for its tail. */
void slow_stop(void);
int64_t slow_clock_ns(void);
/* A request took this long. */
void slow_check(const char *path, int64_t took_ns);

/* ---- page.c ---------------------------------------------------------------------------------- */

/* The page for "/", in memory from malloc; NULL: no memory. */
char *page_make(const char *host, size_t *bytes);

/* ---- route.c --------------------------------------------------------------------------------- */

struct server {
    struct prof_http *pprof; /* NULL: ENABLE_PPROF says no */
    struct MHD_Daemon *daemon;
    int idle_fd;   /* an eventfd: written when the last request ends */
    int listen_fd; /* ours again once requests are refused; -1 before */
    char address[64];
};

int server_start(struct server *s, int listen_fd);
/* No new requests; those that come on open connections are refused. */
void server_refuse(struct server *s);
int server_in_flight(void);

#endif
