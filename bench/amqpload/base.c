#include "base.h"

#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

void nap(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&t, NULL);
}

short wait_for(int fd, short events, u64 ns) {
    struct pollfd p = {fd, events, 0};
#ifdef __linux__
    struct timespec t = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    return ppoll(&p, 1, &t, NULL) > 0 ? p.revents : 0;
#else
    return poll(&p, 1, (int)((ns + 999999) / 1000000)) > 0 ? p.revents : 0;
#endif
}

static void complain(const char *format, va_list arguments) {
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    fprintf(stderr, "amqpload: %s\n", line);
}

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    exit(1);
}

void *zeroed(size_t bytes) {
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) die("out of memory (%zu bytes)", bytes);
    return p;
}

void *zeroed_lines(size_t count, size_t bytes) {
    void *p = aligned_alloc(64, count * bytes);
    if (!p) die("out of memory (%zu bytes)", count * bytes);
    return memset(p, 0, count * bytes);
}

char *text(const char *format, ...) {
    char made[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(made, sizeof made, format, arguments);
    va_end(arguments);
    char *kept = zeroed(strlen(made) + 1);
    return strcpy(kept, made);
}

void wake_precisely(void) {
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1);
#endif
}

void gate_set(gate *g, int threads) {
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->opened, NULL);
    g->missing = threads;
}

void gate_pass(gate *g) {
    pthread_mutex_lock(&g->lock);
    if (--g->missing == 0) pthread_cond_broadcast(&g->opened);
    while (g->missing > 0) pthread_cond_wait(&g->opened, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

void thread_start(pthread_t *thread, void *(*body)(void *), void *argument) {
    pthread_attr_t attributes; /* small stacks: there may be thousands of threads */
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * KIB);
    int error = pthread_create(thread, &attributes, body, argument);
    if (error) die("no thread: %s", strerror(error));
    pthread_attr_destroy(&attributes);
}
