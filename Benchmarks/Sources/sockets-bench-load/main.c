// Arguments, and one run. Prints one line of JSON. See load.h.
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

const char *const mode_names[] = {"echo",    "handshake-full", "handshake-resume",
                                  "bulk-in", "bulk-out",       "hold"};
enum { MODES = sizeof mode_names / sizeof *mode_names, SPARE_DESCRIPTORS = 64 };

struct options options = {.connections = 16, .cpu = -1, .size = 64, .seconds = 2, .warmup = 0.3};
struct load load;

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("sockets-bench-load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static const char usage[] =
    "sockets-bench-load --port P [options]: load for a server of the bench protocol on 127.0.0.1\n"
    "  --mode M          echo, handshake-full, handshake-resume, bulk-in, bulk-out, hold (echo)\n"
    "  --connections N   at once (16)\n"
    "  --size BYTES      of an echo (64)\n"
    "  --seconds S       how long is measured (2), after --warmup S (0.3)\n"
    "  --operations N    stop after so many instead, without a warmup\n"
    "  --pid PID         the server, for its CPU time and memory\n"
    "  --cpu N           run on this CPU\n"
    "  --plain           TCP without TLS\n"
    "  --openssl         print OpenSSL's version and exit\n";

static enum mode mode_named(const char *name) {
    for (int i = 0; i < MODES; i++)
        if (strcmp(name, mode_names[i]) == 0) return (enum mode)i;
    fail("no mode '%s'", name);
}

static double number(const char *text, double least) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || value < least) fail("'%s' is no number of at least %g", text, least);
    return value;
}

static void parse(int count, char **arguments) {
    static const struct option names[] = {
        {"mode", 1, 0, 'm'},   {"port", 1, 0, 'p'},       {"connections", 1, 0, 'c'}, {"size", 1, 0, 's'},
        {"seconds", 1, 0, 'd'}, {"warmup", 1, 0, 'w'},    {"operations", 1, 0, 'n'},  {"pid", 1, 0, 'P'},
        {"cpu", 1, 0, 'C'},    {"plain", 0, 0, 'x'},      {"openssl", 0, 0, 'v'},     {"help", 0, 0, 'h'},
        {0, 0, 0, 0}};
    for (int o; (o = getopt_long(count, arguments, "h", names, NULL)) != -1;) switch (o) {
        case 'm': options.mode = mode_named(optarg); break;
        case 'p': options.port = (int)number(optarg, 1); break;
        case 'c': options.connections = (int)number(optarg, 1); break;
        case 's': options.size = (size_t)number(optarg, 1); break;
        case 'd': options.seconds = number(optarg, 0); break;
        case 'w': options.warmup = number(optarg, 0); break;
        case 'n': options.operations = (uint64_t)number(optarg, 1); break;
        case 'P': options.pid = (pid_t)number(optarg, 1); break;
        case 'C': options.cpu = (int)number(optarg, 0); break;
        case 'x': options.plain = true; break;
        case 'v': puts(OpenSSL_version(OPENSSL_VERSION_STRING)); exit(0);
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    if (optind < count || options.port == 0) {
        fputs(usage, stderr);
        exit(2);
    }
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t needed = (rlim_t)options.connections + SPARE_DESCRIPTORS;
    if (limit.rlim_cur < needed)
        fail("%llu descriptors are needed, the limit is %llu", (unsigned long long)needed,
             (unsigned long long)limit.rlim_cur);
}

static void pin(void) {
    if (options.cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(options.cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) fail("cannot run on CPU %d", options.cpu);
}

// One measured run; returns its length.
static void run(struct sample *from, struct sample *to) {
    for (int i = 0; i < options.connections; i++) open_connection(&load.connections[i]);
    bool by_number = options.operations > 0;
    double turning = clock_seconds() + (by_number ? 0 : options.warmup);
    while (!by_number && clock_seconds() < turning) turn(10);
    *from = take_sample();
    load.is_measuring = true;
    double end = clock_seconds() + options.seconds;
    while (!load.is_over && (by_number || clock_seconds() < end)) turn(10);
    *to = take_sample();
    load.is_measuring = false;
    load.is_over = true;
    for (int i = 0; i < options.connections; i++) close_connection(&load.connections[i]);
}

int main(int count, char **arguments) {
    parse(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    pin();
    prepare_connections();
    if (options.mode == MODE_HOLD) {
        run_hold();
        return load.errors ? 3 : 0;
    }
    struct sample from, to;
    run(&from, &to);
    bool is_bulk = options.mode == MODE_BULK_IN || options.mode == MODE_BULK_OUT;
    double amount = is_bulk ? (double)load.bytes / 1e6 : (double)load.counted;
    double server = to.server - from.server, self = to.self - from.self;
    printf("{\"mode\":\"%s\",\"plain\":%s,\"connections\":%d,\"size\":%zu,\"seconds\":%.4f,\"amount\":%.1f,"
           "\"perSecond\":%.1f,\"perServerSecond\":%.1f,\"serverSeconds\":%.4f,\"loadSeconds\":%.4f,"
           "\"otherSeconds\":%.2f,\"resumed\":%llu,\"errors\":%llu,\"kib\":%.0f}\n",
           mode_names[options.mode], options.plain ? "true" : "false", options.connections, options.size,
           to.clock - from.clock, amount, amount / (to.clock - from.clock), server > 0 ? amount / server : 0,
           server, self, to.busy - from.busy - server - self, (unsigned long long)load.resumed,
           (unsigned long long)load.errors, to.rss_kib);
    return load.errors ? 3 : 0;
}
