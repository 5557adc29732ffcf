#include "process.h"

#include "options.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES_MAX = 1024 };

static pid_t pids[PROCESSES_MAX];
static u64 cpu_at_start[PROCESSES_MAX];
static int npids;

static bool listed(pid_t pid) {
    for (int i = 0; i < npids; i++)
        if (pids[i] == pid) return true;
    return false;
}

static void add(pid_t pid) {
    if (!listed(pid) && npids < PROCESSES_MAX) pids[npids++] = pid;
}

/* One file of a process as text; false if there is none. */
static bool slurp(pid_t pid, const char *name, char *into, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) return false;
    ssize_t n = read(fd, into, size - 1);
    close(fd);
    if (n <= 0) return false;
    into[n] = 0;
    return true;
}

static pid_t parent_of(pid_t pid) {
    char line[1024];
    int parent;
    if (!slurp(pid, "stat", line, sizeof line)) return 0;
    char *after_name = strrchr(line, ')'); /* the name may hold spaces and parentheses */
    return after_name && sscanf(after_name + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool add_children(void) {
    bool more = false;
    DIR *all = opendir("/proc");
    if (!all) return false;
    for (struct dirent *entry; (entry = readdir(all));) {
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || listed(pid) || !listed(parent_of(pid))) continue;
        add(pid);
        more = npids < PROCESSES_MAX;
    }
    closedir(all);
    return more;
}

void broker_find(void) {
    for (int i = 0; i < opt.npids; i++) add(opt.pids[i]);
    for (int i = 0; i < opt.ntrees; i++) add(opt.trees[i]);
    while (opt.ntrees && add_children()) continue;
}

int broker_processes(void) { return npids; }

static u64 process_cpu_ns(pid_t pid) {
#ifdef __linux__
    clockid_t clock; /* every thread, also those that have ended */
    if (!clock_getcpuclockid(pid, &clock)) return clock_ns(clock);
#else
    (void)pid;
#endif
    return 0;
}

void broker_cpu_start(void) {
    broker_find();
    for (int i = 0; i < npids; i++) cpu_at_start[i] = process_cpu_ns(pids[i]);
}

u64 broker_cpu_ns(void) {
    u64 total = 0;
    broker_find();
    for (int i = 0; i < npids; i++) {
        u64 now = process_cpu_ns(pids[i]);
        if (now > cpu_at_start[i]) total += now - cpu_at_start[i];
    }
    return total;
}

u64 broker_rss_kb(void) {
    u64 total = 0;
    u64 page_kb = (u64)sysconf(_SC_PAGESIZE) / KIB;
    for (int i = 0; i < npids; i++) {
        char line[128];
        unsigned long virtual, resident;
        if (slurp(pids[i], "statm", line, sizeof line) && sscanf(line, "%lu %lu", &virtual, &resident) == 2)
            total += resident * page_kb;
    }
    return total;
}

machine_time machine_now(void) {
    unsigned long long v[8] = {0}; /* user nice system idle iowait irq softirq steal */
    FILE *file = fopen("/proc/stat", "r");
    if (file) {
        int n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
        if (n < 4) memset(v, 0, sizeof v);
        fclose(file);
    }
    return (machine_time){v[0] + v[1] + v[2] + v[5] + v[6] + v[7], v[3] + v[4]};
}
