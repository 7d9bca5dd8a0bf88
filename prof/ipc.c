/* Hooks of the System V calls that wait, message queues and semaphores: the kernel never restarts
 * them, so after a signal of libprof's own they are called again. */
#include "prof/wait.h"

PROF_HOOK_FILE(ipc);

PROF_API ssize_t msgrcv(int id, void *message, size_t size, long type, int flags)
{
    typeof(msgrcv) *real = PROF_REAL(msgrcv);
    if (flags & IPC_NOWAIT)
        return real(id, message, size, type, flags);
    PROF_WAITING(w, PROF_WAIT_IPC, NULL, NULL, PROF_SITE);
    prof_wait_is(&w, PROF_WHAT_MSGRCV, -1);
    ssize_t rc;
    do
        rc = real(id, message, size, type, flags);
    while (rc < 0 && prof_wait_cut_short(&w, errno));
    return rc;
}

PROF_API int msgsnd(int id, const void *message, size_t size, int flags)
{
    typeof(msgsnd) *real = PROF_REAL(msgsnd);
    if (flags & IPC_NOWAIT)
        return real(id, message, size, flags);
    PROF_WAITING(w, PROF_WAIT_IPC, NULL, NULL, PROF_SITE);
    prof_wait_is(&w, PROF_WHAT_MSGSND, -1);
    int rc;
    do
        rc = real(id, message, size, flags);
    while (rc < 0 && prof_wait_cut_short(&w, errno));
    return rc;
}

/* All or nothing: what was cut short has done none of the operations. */
PROF_API int semop(int id, struct sembuf *operations, size_t n)
{
    typeof(semop) *real = PROF_REAL(semop);
    PROF_WAITING(w, PROF_WAIT_IPC, NULL, NULL, PROF_SITE);
    int rc;
    do
        rc = real(id, operations, n);
    while (rc < 0 && prof_wait_cut_short(&w, errno));
    return rc;
}

PROF_API int semtimedop(int id, struct sembuf *operations, size_t n, const struct timespec *timeout)
{
    typeof(semtimedop) *real = PROF_REAL(semtimedop);
    PROF_WAITING(w, PROF_WAIT_IPC, NULL, NULL, PROF_SITE);
    int rc = real(id, operations, n, timeout);
    while (rc < 0 && prof_wait_cut_short(&w, errno)) {
        struct timespec left;
        if (timeout)
            left = prof_wait_left(&w, prof_timespec_ns(timeout));
        rc = real(id, operations, n, timeout ? &left : NULL);
    }
    return rc;
}
