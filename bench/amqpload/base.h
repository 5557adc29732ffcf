/* What every part needs: short integer names, time, memory, the end of the program, and one gate for all threads. */
#ifndef BASE_H
#define BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

enum { KIB = 1024, MIB = 1024 * 1024 };
#define NS_PER_S 1000000000ull

static inline u64 clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t)) return 0;
    return (u64)t.tv_sec * NS_PER_S + (u64)t.tv_nsec;
}

static inline u64 now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static inline double seconds_between(u64 from, u64 to) { return to > from ? (double)(to - from) / 1e9 : 0; }

void nap(double seconds);

/* Poll one descriptor for at most `ns`; returns what happened to it, 0 if nothing did. */
short wait_for(int fd, short events, u64 ns);

/* Prints "amqpload: ..." on stderr; `die` then ends the program with code 1. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Zeroed memory, or the end of the program. */
void *zeroed(size_t bytes);
void *zeroed_lines(size_t count, size_t bytes); /* each element begins a cache line: `bytes` is a multiple of 64 */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ask the kernel to wake this thread within a microsecond of what it asked for. */
void wake_precisely(void);

/* A gate that opens, once, when `missing` threads have come to it. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    int missing;
} gate;

void gate_set(gate *g, int threads);
void gate_pass(gate *g);

void thread_start(pthread_t *thread, void *(*body)(void *), void *argument);

#endif
