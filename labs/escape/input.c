/* The numbers, and the names of the ways. */
#include "labs/escape/escape.h"

#include <string.h>

int escape_size(int group)
{
    return 1 + (int)(escape_number(group, 7) % ESCAPE_NUMBERS_MAX);
}

const struct escape_impl *escape_impl_find(const struct escape_impl *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}
