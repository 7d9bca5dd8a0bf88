/* Which sanitizer the tests were built with: none of them is quite the machine that it stands for.
 *
 * TSAN takes signals itself and calls their handlers later, elsewhere, with a context of its own: a
 * stack that a signal takes is not where it was sent, and a dump of threads waits its full second.
 * Its own locks may be held in the child of a fork.
 * ASAN forks (gcc 12) without its allocator's locks: a child whose parent's other threads allocate
 * may wait for one for ever, in its malloc. */
#ifndef TESTS_SANITIZED_H
#define TESTS_SANITIZED_H

#ifndef __has_feature /* clang's way to ask */
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define TSAN 1
#else
#define TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ASAN 1
#else
#define ASAN 0
#endif

#endif
