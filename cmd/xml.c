/* Names come from programs and files of all kinds; a picture that holds one must stay well-formed
 * whatever it is. Entered through xml_put. */
#include "cmd/xml.h"

#include <string.h>

size_t xml_bytes(const char *s, size_t n)
{
    size_t i = 0;
    for (; s[i] && n > 0; n--)
        for (i++; ((unsigned char)s[i] & 0xc0) == 0x80;)
            i++;
    return i;
}

size_t xml_characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* The length of the UTF-8 character at s; 0: it is none. */
static size_t utf8(const unsigned char *s)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

void xml_put_part(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0, n; i < size; i += n ? n : 1) {
        unsigned char c = (unsigned char)text[i];
        n = utf8((const unsigned char *)text + i);
        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (n == 0 || i + n > size || (c < 0x20 && c != '\n') || c == 0x7f)
            fputc('?', out);
        else
            fwrite(text + i, 1, n, out);
    }
}

void xml_put(FILE *out, const char *text)
{
    xml_put_part(out, text, strlen(text));
}
