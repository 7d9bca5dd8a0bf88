/* Text to listening socket; see http_address.c. */
#ifndef PROF_HTTP_ADDRESS_H
#define PROF_HTTP_ADDRESS_H

#include "prof/http_internal.h"

enum { HTTP_ADDRESS_MAX = 64 };

/* A listening socket, or a negative errno with the sentence kept. An address that is not a
 * loopback's is refused
 * (-EPERM) unless profiles are safe there: behind a password. `shown` is the address with the port
 * that was really taken.
 */
int http_address_listen(const char *text, bool safe, char shown[HTTP_ADDRESS_MAX]);

#endif
