// The load generator: one thread, edge-triggered epoll, OpenSSL straight on the descriptor. It shares
// no code with the library that it measures. What each file does:
//
//   main.c         arguments, and the run by time or by number of operations
//   connection.c   one connection from connect to close, and what it does in each mode
//   hold.c         many connections held at once, what they cost, one echo on each at the end
//   process.c      what the server's process used, and the machine's other work
#ifndef SOCKETS_BENCH_LOAD_H
#define SOCKETS_BENCH_LOAD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum mode {
    MODE_ECHO,             // the same bytes there and back
    MODE_HANDSHAKE_FULL,   // connect, full handshake, one byte as an echo, close
    MODE_HANDSHAKE_RESUME, // the same with a session of the connection before
    MODE_BULK_IN,          // send as much as the server takes
    MODE_BULK_OUT,         // receive as much as the server sends
    MODE_HOLD,             // open connections and keep them
};
extern const char *const mode_names[];

struct options {
    enum mode mode;
    int port, connections, cpu;
    pid_t pid;             // the server, or 0
    size_t size;           // of an echo
    double seconds, warmup;
    uint64_t operations;   // 0: by time
    bool plain;
};
extern struct options options;

enum state { STATE_UNUSED, STATE_CONNECTING, STATE_HANDSHAKING, STATE_RUNNING, STATE_PARKED };

struct connection {
    int fd;
    enum state state;
    bool is_sending; // what is to be sent comes before what is to be received
    bool was_full;   // the last send had to wait
    SSL *ssl;
    SSL_SESSION *session; // the last ticket, MODE_HANDSHAKE_RESUME
    const unsigned char *out;
    size_t out_sent, out_length;
    size_t received;     // of the present echo
    uint64_t bulk_received;
};

// Everything of the run; there is one.
struct load {
    int epoll;
    struct connection *connections;
    unsigned char *scratch;
    bool is_measuring, is_over;
    int opening;        // connections that are not RUNNING yet
    int parked;         // connections in STATE_PARKED
    uint64_t finished;  // operations, warmup included
    uint64_t counted;   // operations while measuring
    uint64_t bytes;     // of bulk, while measuring
    uint64_t resumed, errors;
};
extern struct load load;

void prepare_connections(void);
void open_connection(struct connection *);
void close_connection(struct connection *);
void send_one_byte(struct connection *); // a parked connection's echo at the end
void turn(int timeout_ms);

void run_hold(void);

struct sample {
    double clock, server, self, busy; // seconds
    double rss_kib;
};
struct sample take_sample(void);

double clock_seconds(void);
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

#endif
