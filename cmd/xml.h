/* Text in XML: pictures and pages made by programs. */
#ifndef CMD_XML_H
#define CMD_XML_H

#include <stddef.h>
#include <stdio.h>

/* Writes text; what is markup is escaped, what XML cannot hold (control characters, bytes that are
 * not UTF-8) becomes a question mark. */
void xml_put(FILE *out, const char *text);
/* The same of the first size bytes. */
void xml_put_part(FILE *out, const char *text, size_t size);

/* Characters of UTF-8, and the bytes that the first n of them take. */
size_t xml_characters(const char *text);
size_t xml_bytes(const char *text, size_t n);

#endif
