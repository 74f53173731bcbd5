// Many connections at once: how long they take to open, what each costs the server in memory, and
// whether each still answers at the end.
#include "load.h"

#include <stdio.h>
#include <unistd.h>

enum { FIRST_WAVE = 64, OPENING_AT_ONCE = 32, MOST_SECONDS = 120, SETTLE_SECONDS = 2 };

// Waits until every connection is parked or failed.
static void wait_for(int target, double deadline) {
    while (load.parked + (int)load.errors < target) {
        turn(10);
        if (clock_seconds() > deadline) fail("only %d of %d connections answered", load.parked, target);
    }
}

static void open_wave(int target) {
    double deadline = clock_seconds() + MOST_SECONDS;
    for (int opened = 0; opened < target;) {
        while (opened < target && load.opening < OPENING_AT_ONCE) open_connection(&load.connections[opened++]);
        turn(10);
        if (clock_seconds() > deadline) fail("only %d of %d connections opened", load.parked, target);
    }
    wait_for(target, deadline);
}

static void settle(double seconds) {
    for (double end = clock_seconds() + seconds; clock_seconds() < end;) turn(50);
}

void run_hold(void) {
    // A first wave comes and goes, so that what the server allocates once is not counted.
    int first = options.connections < FIRST_WAVE ? options.connections : FIRST_WAVE;
    open_wave(first);
    for (int i = 0; i < first; i++) close_connection(&load.connections[i]);
    settle(0.5);
    struct sample before = take_sample();
    open_wave(options.connections);
    struct sample opened = take_sample();
    settle(SETTLE_SECONDS);
    struct sample held = take_sample();
    int alive = load.parked;
    for (int i = 0; i < options.connections; i++)
        if (load.connections[i].state == STATE_PARKED) send_one_byte(&load.connections[i]);
    wait_for(options.connections, clock_seconds() + MOST_SECONDS);
    struct sample echoed = take_sample();
    printf("{\"mode\":\"hold\",\"plain\":%s,\"connections\":%d,\"held\":%d,\"echoed\":%d,\"errors\":%llu,"
           "\"openSeconds\":%.3f,\"openServerSeconds\":%.3f,\"echoSeconds\":%.3f,"
           "\"kibBefore\":%.0f,\"kibHeld\":%.0f,\"kibPerConnection\":%.2f}\n",
           options.plain ? "true" : "false", options.connections, alive, load.parked,
           (unsigned long long)load.errors, opened.clock - before.clock, opened.server - before.server,
           echoed.clock - held.clock, before.rss_kib, held.rss_kib,
           (held.rss_kib - before.rss_kib) / (alive > 0 ? alive : 1));
    for (int i = 0; i < options.connections; i++) close_connection(&load.connections[i]);
}
