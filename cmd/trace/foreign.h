/* Telling files that are no trace by their first bytes. */
#ifndef CMD_TRACE_FOREIGN_H
#define CMD_TRACE_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

/* What else these bytes are, as the end of "FILE: ", with what to do about it. NULL: they may be a
 * Perfetto trace. */
const char *foreign_kind(const unsigned char *data, size_t size);

bool is_gzip(const unsigned char *data, size_t size);

#endif
