/* What to show for a name in a symbol table.
 *
 * Compilers make copies of a function (foo.constprop.0, foo.cold) that people know by its plain
 * name. C++ names are demangled where the program has a C++ runtime anyway: libprof does not pull
 * libstdc++ into a C program, a weak reference finds its demangler when the program, or a library
 * that it was linked with, brings it. Otherwise the mangled name stays, and pprof demangles it
 * itself. */
#include "prof/symbols.h"

#include <stdlib.h>
#include <string.h>

extern char *__cxa_demangle(const char *name, char *buffer, size_t *size, int *status)
    __attribute__((weak));

/* The length of the name without what names the copy. */
static size_t without_copy(const char *name)
{
    static const char *const copies[] = {"constprop", "part",       "isra", "cold",
                                         "lto_priv",  "localalias", "llvm"};
    for (const char *dot = name; (dot = strchr(dot + 1, '.'));)
        for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++) {
            size_t n = strlen(copies[i]);
            if (dot > name && strncmp(dot + 1, copies[i], n) == 0 &&
                (dot[1 + n] == '.' || !dot[1 + n]))
                return (size_t)(dot - name);
        }
    return strlen(name);
}

const char *prof_shown_name(struct prof_pool *pool, const char *name)
{
    if (!name[0])
        return "";
    uint32_t i = prof_pool_intern(pool, name, without_copy(name));
    const char *plain = i ? pool->strings[i] : ""; /* 0: no memory */
    int status = -1;
    char *demangled = NULL;
    if (plain[0] == '_' && plain[1] == 'Z' && __cxa_demangle)
        demangled = __cxa_demangle(plain, NULL, NULL, &status);
    if (demangled && status == 0)
        plain = prof_pool_string(pool, demangled);
    free(demangled);
    return plain;
}
