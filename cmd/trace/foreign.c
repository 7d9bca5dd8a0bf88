/* Somebody who opens the wrong file should hear which file it is, and what opens that. */
#include "cmd/trace/foreign.h"
#include "cmd/message.h"
#include "prof/internal.h"

#include <string.h>

enum { BEGINNING = 512 }; /* as much of a text as is looked at */

static const struct magic {
    const char *bytes;
    size_t n;
    const char *what;
} magics[] = {
    {"\x1f\x8b", 2, "is packed twice; unpack it with gunzip"},
    {"\x7f"
     "ELF",
     4, "is a program or a library (ELF); expected a trace that it has recorded"},
    {"PERFILE2", 8, "is a recording of perf; perf script reads it"},
    {"go 1.", 5, "is a trace of a Go program; go tool trace reads it"},
    {"PK\x03\x04", 4, "is a zip archive; expected a Perfetto trace"},
    {"\xc1\x1f\xfc\xc1", 4, "is a trace in CTF (LTTng); babeltrace reads it"},
    {"\x28\xb5\x2f\xfd", 4, "is packed with zstd; unpack it first: unzstd"},
    {"\xfd"
     "7zXZ",
     5, "is packed with xz; unpack it first: unxz"},
};

bool is_gzip(const unsigned char *data, size_t size)
{
    return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

/* Printable UTF-8. What comes after the beginning may cut a sequence. */
static bool is_text(const unsigned char *data, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t width = prof_utf8_sequence(data + i, n - i);
        if (width == 0)
            return n == BEGINNING && n - i < 4;
        if (data[i] < ' ' && (data[i] == 0 || !strchr("\t\n\r\f\x1b", data[i])))
            return false;
        i += width;
    }
    return true;
}

static const char *text_kind(const unsigned char *data, size_t size)
{
    size_t i = 0, n = size < BEGINNING ? size : BEGINNING;

    if (!is_text(data, n))
        return NULL;
    while (i < n && strchr(" \t\r\n", data[i]))
        i++;
    if (i < n && (data[i] == '{' || data[i] == '['))
        return "is JSON, perhaps a Chrome trace; expected a Perfetto trace "
               "(ui.perfetto.dev opens JSON)";
    if (i < n && data[i] == '<')
        return "is HTML; expected a Perfetto trace";
    return "is text; expected a Perfetto trace";
}

/* A packet's known numbers have the known types: a profile's first field is number 1 as well, and
 * begins with numbers where a packet's field 1 is a message. */
static bool is_packet(struct message m)
{
    struct message_field f;

    while (message_next(&m, &f)) {
        bool number = f.number == 8 || f.number == 10 || f.number == 13 || f.number == 58;
        bool bytes = f.number == 1 || f.number == 2 || f.number == 6 || f.number == 11 ||
                     f.number == 12 || f.number == 59 || f.number == 60;
        if ((number && f.type == MESSAGE_BYTES) || (bytes && f.type != MESSAGE_BYTES))
            return false;
    }
    return !message_broken(&m);
}

static bool is_profile(struct message m)
{
    struct message_field f;

    if (!message_next(&m, &f) || f.number != 1 || f.type != MESSAGE_BYTES)
        return false;
    struct message type = f.bytes;
    while (message_next(&type, &f))
        if (f.number > 2 || f.type != MESSAGE_VARINT)
            return false;
    return !message_broken(&type);
}

const char *foreign_kind(const unsigned char *data, size_t size)
{
    struct message m = {data, data + size};
    struct message_field f;

    if (size == 0)
        return "the file is empty";
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (size >= magics[i].n && memcmp(data, magics[i].bytes, magics[i].n) == 0)
            return magics[i].what;
    if (message_next(&m, &f) && f.number == 1 && f.type == MESSAGE_BYTES) {
        if (is_packet(f.bytes))
            return NULL;
        if (is_profile((struct message){data, data + size}))
            return "is a profile (profile.proto); go tool pprof reads it";
    }
    /* A trace of which not even the first packet is whole begins like one. */
    const char *text = text_kind(data, size);
    if (text)
        return text;
    return data[0] == (1 << 3 | MESSAGE_BYTES) && size < 64
               ? "is cut short within the first packet: there is nothing to show"
               : "is no Perfetto trace, nor anything else that this program knows";
}
