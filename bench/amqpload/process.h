/* CPU time and memory of the broker's processes, and of the whole machine. Linux only: elsewhere there are no processes
 * to ask, every figure is 0, and bench/node.py asks `ps` instead. */
#ifndef PROCESS_H
#define PROCESS_H

#include "base.h"

void broker_find(void);       /* what --broker-pid and --broker-tree name; again whenever they may have grown */
int broker_processes(void);   /* how many were found */
void broker_cpu_start(void);  /* count CPU from here */
u64 broker_cpu_ns(void);      /* of all threads of all of them since broker_cpu_start */
u64 broker_rss_kb(void);

typedef struct {
    u64 busy, idle; /* hundredths of a second, summed over all cores, since the machine started */
} machine_time;

machine_time machine_now(void);

#endif
