#ifndef PROF_HTTP_STYLE_H
#define PROF_HTTP_STYLE_H

extern const char http_style[];
extern const char http_script[];

#endif
