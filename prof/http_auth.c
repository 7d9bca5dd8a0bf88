/* Who may see profiles: anyone on this machine, or who knows the password. Profiles show function
 * names, file names, labels and the command line, and a capture costs CPU: served to a network
 * without a password they have been a security hole in many products (CVE-2019-11248). Entered
 * through http_auth_check. */
#include "prof/http_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The time does not depend on where the strings differ, nor on their lengths: both are compared
 * over the whole of a fixed size. volatile keeps the compiler from leaving the loop early. */
static bool same_secret(const char *given, const char *expected)
{
    char a[HTTP_SECRET_MAX] = {0}, b[HTTP_SECRET_MAX] = {0};
    volatile unsigned differ = strlen(given) >= sizeof a;

    memcpy(a, given, strnlen(given, sizeof a - 1));
    memcpy(b, expected, strnlen(expected, sizeof b - 1));
    for (size_t i = 0; i < sizeof a; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

static bool knows_password(const struct http_settings *s, struct MHD_Connection *connection)
{
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(connection, &password);
    bool same_user = same_secret(user ? user : "", s->user);
    bool same_password = same_secret(password ? password : "", s->password);
    bool given = user && password;

    MHD_free(user);
    MHD_free(password);
    return given & same_user & same_password;
}

/* The connection's own end is a loopback address: whoever is at the other end is on this machine,
 * whatever the daemon listens on. */
static bool over_loopback(int socket)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;

    if (getsockname(socket, (struct sockaddr *)&own, &size) != 0)
        return false;
    if (own.ss_family == AF_UNIX)
        return true;
    if (own.ss_family == AF_INET)
        return (ntohl(((struct sockaddr_in *)&own)->sin_addr.s_addr) >> 24) == 127;
    if (own.ss_family != AF_INET6)
        return false;
    const struct in6_addr *six = &((struct sockaddr_in6 *)&own)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

int http_auth_check(const struct http_settings *s, struct MHD_Connection *connection, int socket)
{
    if (*s->password)
        return knows_password(s, connection) ? 0 : MHD_HTTP_UNAUTHORIZED;
    return s->authenticated || over_loopback(socket) ? 0 : MHD_HTTP_FORBIDDEN;
}
