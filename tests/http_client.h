/* A client for the tests of the endpoints: one request a connection, the whole answer as text. */
#ifndef TESTS_HTTP_CLIENT_H
#define TESTS_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A connection to the loopback; -1: refused. Reading from it gives up after a minute. */
static inline int client_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval minute = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Asks, and does not wait for the answer. */
static inline int client_ask(int port, const char *method, const char *path)
{
    char request[1024];
    int fd = client_connect(port);
    int n = snprintf(request, sizeof request,
                     "%s %s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n", method,
                     path, port);

    if (fd >= 0 && send(fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads to the end of the connection, and closes it. The status, 0 when there was no answer. */
static inline int client_read(int fd, char *answer, size_t size)
{
    size_t have = 0;
    ssize_t n;
    int status = 0;

    answer[0] = '\0';
    while (fd >= 0 && have + 1 < size) {
        n = recv(fd, answer + have, size - have - 1, 0);
        if (n > 0)
            have += (size_t)n;
        else if (n == 0 || errno != EINTR) /* a call with a time-out ends so at any signal */
            break;
    }
    answer[have] = '\0';
    if (fd >= 0)
        close(fd);
    sscanf(answer, "HTTP/1.%*d %d", &status);
    return status;
}

static inline int client_get(int port, const char *path, char *answer, size_t size)
{
    return client_read(client_ask(port, "GET", path), answer, size);
}

static inline double client_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Entries of /proc/self/fd or /proc/self/task. */
static inline int count_entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

#endif
