/* prof_memstats for people. */
#ifndef CMD_MEMSTATS_H
#define CMD_MEMSTATS_H

#include <stdio.h>

/* Prints where the program's memory is now, a line a figure, with where each figure comes from. */
void memstats_print(FILE *f);

#endif
