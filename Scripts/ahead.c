// Preloaded, it sets the clock of a process ten years ahead: that of the calendar and no other.
//
// libfaketime cannot do it here: it moves the absolute times of timerfd_settime on the monotonic clock
// too, on which the Swift runtime waits, so that no sleeping task ever wakes. This file moves what tells
// the date, and moves back the dates until which somebody waits, as the kernel's clock stays where it
// is. No monotonic clock has run for ten years, so a time tells by itself of which clock it is.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const time_t ahead = 10 * 365.25 * 86400;

static int tells_the_date(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

static struct timespec date(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    now.tv_sec += ahead;
    return now;
}

// As the kernel knows it: a date moved back, a time of another clock as it is.
static struct timespec real(const struct timespec *time) {
    struct timespec moved = *time;
    if (moved.tv_sec >= ahead) moved.tv_sec -= ahead;
    return moved;
}

// ---- what time it is ---------------------------------------------------------------------------

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && tells_the_date(clock)) now->tv_sec += ahead;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec moved = date();
    now->tv_sec = moved.tv_sec;
    now->tv_usec = moved.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    time_t moved = date().tv_sec;
    if (now) *now = moved;
    return moved;
}

int timespec_get(struct timespec *now, int base) {
    if (base != TIME_UTC) return 0;
    *now = date();
    return base;
}

// ---- until when somebody waits -----------------------------------------------------------------

// The C library's own, behind this file.
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    struct timespec moved = flags & TIMER_ABSTIME ? real(until) : *until;
    return REAL(clock_nanosleep)(clock, flags, &moved, left);
}

int timerfd_settime(int timer, int flags, const struct itimerspec *set, struct itimerspec *old) {
    struct itimerspec moved = *set;
    if (flags & TFD_TIMER_ABSTIME) moved.it_value = real(&set->it_value);
    return REAL(timerfd_settime)(timer, flags, &moved, old);
}

int pthread_cond_timedwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
    const struct timespec *restrict until) {
    struct timespec moved = real(until);
    return REAL(pthread_cond_timedwait)(condition, mutex, &moved);
}

int pthread_cond_clockwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock,
    const struct timespec *restrict until) {
    struct timespec moved = real(until);
    return REAL(pthread_cond_clockwait)(condition, mutex, clock, &moved);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec moved = real(until);
    return REAL(pthread_mutex_timedlock)(mutex, &moved);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec moved = real(until);
    return REAL(sem_timedwait)(semaphore, &moved);
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict until) {
    struct timespec moved = real(until);
    return REAL(sem_clockwait)(semaphore, clock, &moved);
}
