/* Names for addresses, for those who are outside libprof: the endpoint that pprof asks for symbols.
 */
#include "prof/internal.h"
#include "prof/thread.h"

int prof_symbol_names(const uintptr_t *pcs, size_t n,
                      void (*found)(uintptr_t pc, const char *name, void *arg), void *arg)
{
    struct prof_symbols symbols;
    int err = 0;

    if (n == 0)
        return 0;
    prof_enter();
    err = prof_symbolize(pcs, n, &symbols);
    for (size_t i = 0; !err && i < n; i++) {
        const struct prof_location *at = prof_symbols_find(&symbols, pcs[i]);
        if (at && at->nlines > 0 && at->lines[0].function[0])
            found(pcs[i], at->lines[0].function, arg);
    }
    if (!err)
        prof_symbols_free(&symbols);
    prof_leave();
    return err;
}
