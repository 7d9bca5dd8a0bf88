/* Where a PC lies, as the code there says itself. */
#ifndef TESTS_SYMBOLS_MARKS_H
#define TESTS_SYMBOLS_MARKS_H

#include <stdint.h>

struct expectation {
    const char *function;
    int line;
};

struct mark {
    uintptr_t pc;
    int depth;                      /* of inlined frames: 1 or 3 */
    struct expectation expected[3]; /* innermost first */
};

#endif
