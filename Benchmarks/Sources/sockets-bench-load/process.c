// What the server's process used, from the clock that the kernel keeps for each process, and from
// /proc; and what everything on this machine used, so that a disturbed run can be told.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t)) fail("no process %d", (int)options.pid);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double clock_seconds(void) { return seconds_of(CLOCK_MONOTONIC); }

static double resident_kib(void) {
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)options.pid);
    FILE *file = fopen(path, "r");
    if (!file) fail("no process %d", (int)options.pid);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "VmRSS:", 6) == 0) kib = strtod(line + 6, NULL);
    fclose(file);
    return kib;
}

// The seconds that the load's processor, or all of them, spent on anything.
static double busy_seconds(void) {
    unsigned long long user, nice, system, idle, waiting, hard, soft;
    char line[512], name[16] = "cpu";
    double busy = 0;
    if (options.cpu >= 0) snprintf(name, sizeof name, "cpu%d", options.cpu);
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        char *rest = strchr(line, ' ');
        if (!rest || strncmp(line, name, strlen(name)) || rest != line + strlen(name)) continue;
        if (sscanf(rest, "%llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &waiting,
                   &hard, &soft) == 7)
            busy = (double)(user + nice + system + hard + soft) / (double)sysconf(_SC_CLK_TCK);
    }
    fclose(file);
    return busy;
}

struct sample take_sample(void) {
    struct sample s = {.clock = clock_seconds(), .busy = busy_seconds()};
    s.self = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    if (options.pid > 0) {
        clockid_t clock;
        if (clock_getcpuclockid(options.pid, &clock)) fail("no process %d", (int)options.pid);
        s.server = seconds_of(clock);
        s.rss_kib = resident_kib();
    }
    return s;
}
