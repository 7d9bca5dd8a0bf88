/* Which sizes a phase has. Sizes are spread evenly over the octaves of a range, as those of real
 * programs nearly are: many small ones, few large ones. */
#include "labs/frag/frag.h"

static const struct {
    int first, last; /* powers of two */
} ranges[FRAG_PHASES] = {
    {4, 8},   /* 16 to 256 bytes: nodes, strings */
    {7, 11},  /* 128 to 2 KiB: records */
    {10, 15}, /* 1 to 32 KiB: buffers */
    {14, 18}, /* 16 to 256 KiB: files, images; more than glibc's first mmap threshold among them */
    {4, 13},  /* 16 to 8 KiB: everything again */
};

size_t frag_size(int phase, uint64_t random)
{
    const int octaves = ranges[phase].last - ranges[phase].first;
    const size_t base = (size_t)1 << (ranges[phase].first + (int)(random % (uint64_t)octaves));

    return base + (size_t)(random >> 32) % base;
}
