/* Arrays that grow, and a map from numbers to indices. The program ends when there is no memory:
 * a trace is read once, by a program that has nothing else to do. */
#ifndef CMD_TRACE_ARRAY_H
#define CMD_TRACE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* realloc; ends the program (1) when there is no memory. */
void *array_resize(void *array, size_t n, size_t size);

/* Room for one more element of `size` bytes behind the first n. The array, which may have moved. */
void *array_grow(void *array, uint32_t n, uint32_t *capacity, size_t size);

/* Sorts elements by the int64_t that each begins with; equal ones stay in order. */
void array_sort_by_time(void *array, uint32_t n, size_t size);

/* From a number to an index. In zeroed memory it is empty and ready. */
struct id_map {
    struct id_slot {
        uint64_t key;
        uint32_t value; /* plus one; 0: the slot is free */
    } * slots;
    uint32_t used, size;
};

/* TRACE_NONE: it is not there. */
uint32_t id_map_get(const struct id_map *m, uint64_t key);
/* Adds or replaces. value < TRACE_NONE. */
void id_map_set(struct id_map *m, uint64_t key, uint32_t value);
void id_map_clear(struct id_map *m); /* keeps its memory */
void id_map_free(struct id_map *m);

#endif
