/* A timeline as a picture, for documents. */
#ifndef CMD_TRACE_PICTURE_H
#define CMD_TRACE_PICTURE_H

#include "cmd/trace/analysis.h"

/* Writes SVG that stands alone: a lane for each thread (the busiest, where there are many), what it
 * did over time. The same view gives the same bytes. 0, -ENOMEM, or what write(2) said. */
int trace_write_svg(const struct trace_view *v, int fd);

#endif
