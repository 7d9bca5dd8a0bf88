/* The calls behind the hooks.
 *
 * Looking them up needs no lock and no care for a second thread: both would find the same. Plain
 * locking and unlocking need no check either: until the calls are known, boot_* stand in. Neither
 * the loader nor dlsym calls a hook; should one, while this very thread looks the calls up, it
 * finds the lock free. */
#include "prof/wait.h"

#include <dlfcn.h>

static int boot_lock(pthread_mutex_t *m);
static int boot_trylock(pthread_mutex_t *m);
static int boot_unlock(pthread_mutex_t *m);

struct prof_real prof_real = {
    .pthread_mutex_lock = boot_lock,
    .pthread_mutex_trylock = boot_trylock,
    .pthread_mutex_unlock = boot_unlock,
};

#define DECLARE(name) extern const char prof_hooks_##name;
PROF_HOOK_FILES(DECLARE)
#undef DECLARE
#define ADDRESS(name) &prof_hooks_##name,
static const char *const hook_files[] __attribute__((used)) = {PROF_HOOK_FILES(ADDRESS)};
#undef ADDRESS

static __thread bool finding __attribute__((tls_model("initial-exec")));

static int boot_lock(pthread_mutex_t *m)
{
    prof_real_find();
    return finding ? 0 : prof_real.pthread_mutex_lock(m);
}

static int boot_trylock(pthread_mutex_t *m)
{
    prof_real_find();
    return finding ? 0 : prof_real.pthread_mutex_trylock(m);
}

static int boot_unlock(pthread_mutex_t *m)
{
    prof_real_find();
    return finding ? 0 : prof_real.pthread_mutex_unlock(m);
}

static bool same_object(void *a, void *b)
{
    Dl_info in_a, in_b;
    return dladdr(a, &in_a) && dladdr(b, &in_b) && in_a.dli_fbase == in_b.dli_fbase;
}

/* Condition variables changed in glibc 2.3.2. Where both versions exist (x86-64), dlsym with
 * RTLD_NEXT gave the old one before glibc 2.36. */
static void *find_condition(const char *name)
{
    void *plain = dlsym(RTLD_NEXT, name);
    void *versioned = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    return versioned && same_object(plain, versioned) ? versioned : plain;
}

void prof_real_find(void)
{
    if (finding)
        return;
    finding = true;
    int saved = errno;
    struct prof_real found = {
#define FIND(name) .name = (typeof(name) *)dlsym(RTLD_NEXT, #name),
        PROF_REAL_CALLS(FIND)
#undef FIND
    };
#define FIND_CONDITION(name) found.name = (typeof(name) *)find_condition(#name)
    FIND_CONDITION(pthread_cond_wait);
    FIND_CONDITION(pthread_cond_timedwait);
    FIND_CONDITION(pthread_cond_signal);
    FIND_CONDITION(pthread_cond_broadcast);
    prof_real = found;
    errno = saved;
    finding = false;
}
