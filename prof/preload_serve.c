/* The endpoints in a program that knows nothing of them: libprof-http.so is loaded from beside
 * libprof.so and serves on threads of its own.
 *
 * They must not get into the program's way by their descriptors either. A daemon closes every
 * descriptor it can think of, and what it opens next has the number that the server had; a program
 * may count on the numbers that it gets; children would inherit the sockets. So the thread that
 * starts the server leaves the process' table of descriptors for an empty one of its own
 * (close_range(2)), which its threads share and nobody else sees. Where the kernel refuses that,
 * the server lives in the common table. Entered through prof_serve. */
#include "prof/preload.h"

#include "prof/http.h"
#include "prof/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK_BYTES = 1 << 20, PORTS_MAX = 1000 };

static struct {
    typeof(prof_http_start) *start;
    typeof(prof_http_error) *error;
    typeof(prof_http_address) *address;
} http;

enum { NOT_YET, DONE };
static _Atomic uint32_t state;

/* ---- libprof-http.so ------------------------------------------------------------------------- */

static bool load(void)
{
    char path[PATH_MAX + 32];
    Dl_info self;
    if (http.start)
        return true;
    if (!dladdr(&prof_preload, &self) || !strchr(self.dli_fname, '/'))
        snprintf(path, sizeof path, "libprof-http.so");
    else
        snprintf(path, sizeof path, "%.*s/libprof-http.so",
                 (int)(strrchr(self.dli_fname, '/') - self.dli_fname), self.dli_fname);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        prof_complain("no endpoints: %s", dlerror());
        return false;
    }
    http.error = (typeof(http.error))dlsym(library, "prof_http_error");
    http.address = (typeof(http.address))dlsym(library, "prof_http_address");
    http.start = (typeof(http.start))dlsym(library, "prof_http_start");
    return http.start != NULL;
}

/* ---- on the starter's thread ----------------------------------------------------------------- */

static void leave_descriptors(void)
{
    if (syscall(SYS_close_range, 0, ~0U, CLOSE_RANGE_UNSHARE) != 0)
        return;
    for (int i = 0; i < 3; i++) /* whatever prints must not print into a connection */
        open("/dev/null", O_RDWR);
}

/* A child serves behind its parents: on the next free port. Port 0 is free already. */
static int start_at(char *address, size_t size, struct prof_http **server)
{
    const char *asked = prof_preload.address, *colon = strrchr(asked, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    int err = -EADDRINUSE;
    snprintf(address, size, "%s", asked);
    for (int i = prof_preload.first ? 0 : 1; err == -EADDRINUSE && i < PORTS_MAX; i++) {
        if (port && colon)
            snprintf(address, size, "%.*s:%ld", (int)(colon - asked), asked, port + i);
        err = http.start(&(struct prof_http_options){.address = address, .cpu_hz = prof_preload.hz},
                         server);
        if (prof_preload.first || !port)
            break;
    }
    return err;
}

static void *start(void *unused)
{
    char address[300];
    struct prof_http *server = NULL;
    (void)unused;
    prof_own_mark(); /* and so are the server's, which it creates */
    leave_descriptors();
    int err = start_at(address, sizeof address, &server);
    if (err && prof_preload.first)
        prof_complain("no endpoints: %s", http.error());
    else if (!err && server)
        prof_out_address(http.address(server));
    atomic_store(&state, DONE);
    prof_futex_wake(&state);
    return NULL;
}

/* ---- from the constructor, or in a forked child ---------------------------------------------- */

/* None of the program's handlers may run on a thread that it does not know. */
static int start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    int err = pthread_attr_init(&attributes);
    if (err)
        return -err;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&thread, &attributes, start, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return -err;
}

void prof_serve(bool wait)
{
    prof_enter();
    atomic_store(&state, NOT_YET);
    bool loaded = load();
    int err = loaded ? start_thread() : 0;
    prof_leave();
    if (err)
        prof_complain("no endpoints: no thread for them: %s", strerrordesc_np(-err));
    while (loaded && !err && wait && atomic_load(&state) == NOT_YET)
        prof_futex_wait(&state, NOT_YET, INT64_C(1000000000));
}
