/* The address to serve on: from text to a listening socket. A socket of our own, rather than
 * libmicrohttpd's, tells why it could not be opened. Entered through http_address_listen. */
#include "prof/http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_storage storage;
};

static int bad_address(const char *text, const char *what)
{
    return http_fail(-EINVAL,
                     "the address \"%.80s\" %s; expected host:port, [IPv6]:port or :port, for "
                     "example 127.0.0.1:6060",
                     text, what);
}

/* host is without brackets and "" for ":port". */
static int split(const char *text, char host[HTTP_SECRET_MAX], int *port)
{
    const char *colon = strrchr(text, ':');
    const char *begin = text, *end = colon;
    char *rest;

    if (!colon)
        return bad_address(text, "has no port");
    if (*begin == '[') {
        if (colon == begin || colon[-1] != ']')
            return bad_address(text, "has no port behind its bracket");
        begin++, end--;
    } else if (memchr(begin, ':', (size_t)(end - begin))) {
        return bad_address(text, "has an IPv6 host without brackets");
    }
    long value = strtol(colon + 1, &rest, 10);
    if (colon[1] < '0' || colon[1] > '9' || *rest || value < 0 || value > 65535)
        return bad_address(text, "has a port that is not a number from 0 to 65535");
    *port = (int)value;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    return 0;
}

/* Numbers are read without the name service, which would load libraries into the program. */
static int resolve(const char *text, const char *host, int port, union address *out,
                   socklen_t *size)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    const char *name = !*host || !strcmp(host, "localhost") ? "127.0.0.1" : host;

    if (getaddrinfo(name, NULL, &hints, &found) != 0) {
        hints.ai_flags = 0;
        if (getaddrinfo(name, NULL, &hints, &found) != 0)
            return bad_address(text, "has a host that is not known here");
    }
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *size = found->ai_addrlen;
    freeaddrinfo(found);
    if (out->any.sa_family == AF_INET)
        out->four.sin_port = htons((uint16_t)port);
    else
        out->six.sin6_port = htons((uint16_t)port);
    return 0;
}

static bool is_loopback(const union address *a)
{
    if (a->any.sa_family == AF_INET)
        return (ntohl(a->four.sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&a->six.sin6_addr);
}

static int open_socket(const char *text, const union address *a, socklen_t size)
{
    static const int on = 1;
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err;

    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (a->any.sa_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        if (bind(fd, &a->any, size) == 0 && listen(fd, 64) == 0)
            return fd;
    }
    err = -errno;
    if (fd >= 0)
        close(fd);
    if (err == -EADDRINUSE)
        return http_fail(err,
                         "the address %.80s is in use by another program; stop it or choose "
                         "another port",
                         text);
    return http_fail(err, "cannot listen on %.80s: %s", text, strerrordesc_np(-err));
}

static void show(int fd, char shown[HTTP_ADDRESS_MAX])
{
    union address a;
    socklen_t size = sizeof a;
    char host[INET6_ADDRSTRLEN] = "";

    shown[0] = '\0';
    if (getsockname(fd, &a.any, &size) != 0)
        return;
    if (a.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a.four.sin_addr, host, sizeof host);
        snprintf(shown, HTTP_ADDRESS_MAX, "%s:%d", host, ntohs(a.four.sin_port));
    } else {
        inet_ntop(AF_INET6, &a.six.sin6_addr, host, sizeof host);
        snprintf(shown, HTTP_ADDRESS_MAX, "[%s]:%d", host, ntohs(a.six.sin6_port));
    }
}

int prof_http_listen(const struct prof_http *http, const char *address, char *shown,
                     size_t shown_bytes)
{
    const struct prof_http_options options = {.address = address};
    struct http_settings s;
    char text[HTTP_ADDRESS_MAX];
    bool safe = !http || *http->settings.password || http->settings.authenticated;
    int err = http_settings_read(&options, &s);
    int fd = err ? err : http_address_listen(s.address, safe, text);

    if (fd >= 0)
        snprintf(shown, shown_bytes, "%s", text);
    return fd;
}

int http_address_listen(const char *text, bool safe, char shown[HTTP_ADDRESS_MAX])
{
    char host[HTTP_SECRET_MAX];
    union address a;
    socklen_t size = 0;
    int port = 0, fd;
    int err = split(text, host, &port);

    if (!err)
        err = resolve(text, host, port, &a, &size);
    if (err)
        return err;
    if (!is_loopback(&a) && !safe)
        return http_fail(
            -EPERM,
            "the address %.80s can be reached from other machines; set PPROF_PASSWORD, "
            "or use 127.0.0.1",
            text);
    fd = open_socket(text, &a, size);
    if (fd >= 0)
        show(fd, shown);
    return fd;
}
