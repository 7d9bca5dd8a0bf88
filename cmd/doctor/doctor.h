/* What can be recorded on this machine, found out by recording it. */
#ifndef DOCTOR_H
#define DOCTOR_H

/* One line for scripts/doctor.sh: status, name of the check, what was seen, the key of the fix (""
 * : none needed). */
void say(const char *status, const char *check, const char *fix, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Each says what it found. */
void check_cpu(void);      /* a second of fib: samples, symbols, call depth */
void check_heap(void);     /* an allocation is found again, with its size */
void check_locks(void);    /* a wait is found again, and who caused it */
void check_switches(void); /* records of context switches from the kernel */
void check_clock(void);    /* what reading the time costs */

#endif
