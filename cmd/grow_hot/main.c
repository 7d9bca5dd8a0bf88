/* A program whose memory grows, or does not: the same work, round after round, of a lab about
 * memory that is kept.
 *
 *   bin/grow_hot -lab slice -impl view                   a line a round: what the lab says it
 * holds, and what it needs bin/grow_hot -lab cache -impl lru -memprofiles heap  a heap profile
 * after each round: heap.1.pb.gz, heap.2.pb.gz, ...
 *
 * Every block is recorded (the heap profile's rate is 1), so that the profiles are exact. */
#include "cmd/options.h"
#include "cmd/outfile.h"
#include "cmd/output.h"
#include "cmd/profile.h"
#include "labs/cache/cache.h"
#include "labs/slice/slice.h"
#include "prof/pprof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a lab has and does; state is its own. */
struct grow_lab {
    const char *name, *slow, *impls; /* the slow variant; those there are, as a text */
    void *(*begin)(void);
    bool (*choose)(const char *impl); /* false: there is no such variant */
    int (*round)(void *state, uint64_t *sum);
    size_t (*held)(void *state);
    void (*end)(void *state);
};

/* ---- slice ----------------------------------------------------------------------------------- */

static const struct slice_impl *slice_chosen;

static bool slice_choose(const char *impl)
{
    return (slice_chosen = slice_impl_find(impl)) != NULL;
}

static void *slice_begin(void)
{
    return slice_index_new();
}

static int slice_round(void *state, uint64_t *sum)
{
    int err = slice_chosen->keep(state, SLICE_COUNT);

    *sum = slice_index_checksum(state);
    return err;
}

static size_t slice_held(void *state)
{
    return slice_index_held(state);
}

static void slice_end(void *state)
{
    slice_index_free(state);
}

/* ---- cache ----------------------------------------------------------------------------------- */

static const struct cache_impl *cache_chosen;

static bool cache_choose(const char *impl)
{
    return (cache_chosen = cache_impl_find(impl)) != NULL;
}

static void *cache_begin(void)
{
    return cache_new();
}

static int cache_round(void *state, uint64_t *sum)
{
    return cache_chosen->answer(state, CACHE_COUNT, sum);
}

static size_t cache_held(void *state)
{
    return cache_look(state).held_bytes;
}

static void cache_end(void *state)
{
    cache_free(state);
}

static const struct grow_lab grow_labs[] = {
    {"slice", "view", "view or copy", slice_begin, slice_choose, slice_round, slice_held,
     slice_end},
    {"cache", "unbounded", "unbounded, lru or ttl", cache_begin, cache_choose, cache_round,
     cache_held, cache_end},
    {0},
};

/* ---- the program ----------------------------------------------------------------------------- */

static const struct grow_lab *find_lab(const char *name)
{
    for (const struct grow_lab *l = grow_labs; l->name; l++)
        if (!strcmp(l->name, name))
            return l;
    option_misuse("-lab '%s': expected slice or cache", name);
}

static void write_profile(const char *prefix, int64_t round)
{
    struct profile_output profile;
    char path[4096];

    if (!prefix)
        return;
    snprintf(path, sizeof(path), "%s.%" PRId64 ".pb.gz", prefix, round);
    profile_prepare(&profile, "-memprofiles", path);
    profile_finish_named(&profile, "heap");
}

/* Prints one line. The lab's own count, what all of its blocks together asked for, and what the
 * process has. */
static void print_round(const struct grow_lab *lab, void *state, int64_t round, uint64_t sum)
{
    const double mib = 1 << 20;
    struct prof_memstats m;

    prof_memstats(&m);
    printf("round=%" PRId64 " held-MiB=%.2f inuse-MiB=%.2f objects=%" PRIu64
           " rss-MiB=%.1f checksum=%016" PRIx64 "\n",
           round, (double)lab->held(state) / mib, (double)m.sampled_inuse_bytes / mib, m.objects,
           (double)m.resident_bytes / mib, sum);
}

static int run(const struct grow_lab *lab, void *state, int64_t rounds, const char *prefix)
{
    for (int64_t i = 1; i <= rounds; i++) {
        uint64_t sum = 0;
        int err = lab->round(state, &sum);
        if (err) {
            fprintf(stderr, "grow_hot: round %" PRId64 " of lab %s: %s\n", i, lab->name,
                    strerror(-err));
            return 1;
        }
        print_round(lab, state, i, sum);
        write_profile(prefix, i);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *lab_name = "slice", *impl = NULL, *prefix = NULL;
    int64_t rounds = 3;

    options_parse(
        (struct option_spec[]){
            {"lab", OPTION_STRING, &lab_name, 0, 0, "slice or cache"},
            {"impl", OPTION_STRING, &impl, 0, 0,
             "its variant: view, copy; unbounded, lru, ttl (the first of each)"},
            {"rounds", OPTION_INT, &rounds, 1, 1000, "how often its work is done"},
            {"memprofiles", OPTION_STRING, &prefix, 0, 0,
             "write a heap profile after each round: PREFIX.1.pb.gz and so on"},
            {0}},
        argc, argv);
    const struct grow_lab *lab = find_lab(lab_name);
    if (!lab->choose(impl ? impl : lab->slow))
        option_misuse("-impl '%s': lab %s has %s", impl, lab->name, lab->impls);

    prof_set_heap_rate(1);
    void *state = lab->begin();
    if (!state) {
        fprintf(stderr, "grow_hot: no memory for lab %s\n", lab->name);
        return 1;
    }
    int status = run(lab, state, rounds, prefix);
    lab->end(state);
    return output_finish(status);
}
