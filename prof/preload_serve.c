/* The endpoints in a program that knows nothing of them. */
#include "prof/preload.h"
void prof_serve(const char *address)
{
    (void)address;
}
