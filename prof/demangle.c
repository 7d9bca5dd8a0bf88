/* C++ names as people write them, where the program has a C++ runtime anyway.
 *
 * libprof does not pull libstdc++ into a C program: a weak reference finds its demangler when the
 * program (or a library that it was linked with) brings it. Otherwise the mangled name stays, and
 * pprof demangles it itself. */
#include "prof/symbols.h"

#include <stdlib.h>

extern char *__cxa_demangle(const char *name, char *buffer, size_t *size, int *status)
    __attribute__((weak));

const char *prof_demangle(struct prof_pool *pool, const char *name)
{
    int status = -1;
    char *shown = NULL;
    if (name[0] == '_' && name[1] == 'Z' && __cxa_demangle)
        shown = __cxa_demangle(name, NULL, NULL, &status);
    const char *kept = prof_pool_string(pool, shown && status == 0 ? shown : name);
    free(shown);
    return kept;
}
