// One connection: connect, shake hands, say with the first byte what follows, and then what the mode
// asks for, driven by edges of epoll.
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { SCRATCH = 256 << 10, BULK_CHUNK = 64 << 10, TURNS = 16, FIRST_SOURCE = 2, SOURCES = 200 };
static const uint64_t bulk_count = 256ull << 20; // bytes that a connection of MODE_BULK_OUT asks for

static SSL_CTX *context;
static unsigned char *request; // the first byte, and the bytes of an echo behind it
static unsigned next_source;

static int keep_session(SSL *ssl, SSL_SESSION *session) {
    struct connection *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1; // it is ours now
}

// One version, one suite and one group, so that every server does the same cryptography. The chain is
// not verified: only the server's side is measured.
static void make_context(void) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") ||
        !SSL_CTX_set1_groups_list(context, "X25519"))
        fail("OpenSSL lacks TLS 1.3 with AES-128-GCM and X25519");
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_read_ahead(context, 1);
    long mode = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
    if (options.mode == MODE_HOLD) mode |= SSL_MODE_RELEASE_BUFFERS;
    SSL_CTX_set_mode(context, mode);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (options.mode == MODE_HANDSHAKE_RESUME) SSL_CTX_sess_set_new_cb(context, keep_session);
}

void prepare_connections(void) {
    size_t payload = options.mode == MODE_BULK_IN ? BULK_CHUNK : options.size;
    request = malloc(payload + 9);
    load.scratch = malloc(SCRATCH + payload);
    load.connections = calloc((size_t)options.connections, sizeof *load.connections);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!request || !load.scratch || !load.connections || load.epoll < 0) fail("out of memory");
    uint32_t random = 1;
    for (size_t i = 0; i < payload + 9; i++) {
        random = random * 1664525u + 1013904223u;
        request[i] = (unsigned char)(random >> 24);
    }
    request[0] = options.mode == MODE_BULK_IN ? 'S' : options.mode == MODE_BULK_OUT ? 'G' : 'E';
    if (options.mode == MODE_BULK_OUT)
        for (int i = 0; i < 8; i++) request[1 + i] = (unsigned char)(bulk_count >> (56 - 8 * i));
    for (int i = 0; i < options.connections; i++) load.connections[i].fd = -1;
    if (!options.plain) make_context();
}

// Bytes that the first message of a connection has.
static size_t first_length(void) {
    switch (options.mode) {
    case MODE_ECHO: return 1 + options.size;
    case MODE_BULK_IN: return 1;
    case MODE_BULK_OUT: return 9;
    default: return 2;
    }
}

// Closed connections keep their ports for a minute: connections that come and go, and many at once,
// leave from many addresses.
static void bind_source(int fd) {
    int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xff000000u) + FIRST_SOURCE + next_source++ % SOURCES);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) fail("bind: %s", strerror(errno));
}

static void start_tls(struct connection *c) {
    c->ssl = SSL_new(context);
    if (!c->ssl) fail("out of memory");
    SSL_set_app_data(c->ssl, c);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    if (!c->session) return;
    // A copy: OpenSSL takes a session out of use with its connection, and a server may send no new
    // ticket on a resumed one.
    SSL_SESSION *copy = SSL_SESSION_dup(c->session);
    SSL_set_session(c->ssl, copy);
    SSL_SESSION_free(copy);
}

void open_connection(struct connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (first_length() == 2) bind_source(c->fd);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    c->is_sending = true;
    c->was_full = false;
    c->out = request;
    c->out_sent = c->received = 0;
    c->out_length = first_length();
    c->bulk_received = 0;
    c->state = STATE_CONNECTING;
    load.opening++;
    if (!options.plain) start_tls(c);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

void close_connection(struct connection *c) {
    if (c->state == STATE_UNUSED) return;
    if (c->state == STATE_CONNECTING || c->state == STATE_HANDSHAKING) load.opening--;
    if (c->state == STATE_PARKED) load.parked--;
    if (c->ssl) {
        if (c->state == STATE_RUNNING || c->state == STATE_PARKED) SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        c->ssl = NULL;
        ERR_clear_error();
    }
    close(c->fd);
    c->fd = -1;
    c->state = STATE_UNUSED;
}

static void failed(struct connection *c, const char *what) {
    if (load.errors++ < 3) {
        fprintf(stderr, "sockets-bench-load: a connection failed in %s: %s\n", what, strerror(errno));
        ERR_print_errors_fp(stderr);
    }
    if (load.errors > 1000) fail("too many connections failed");
    close_connection(c);
    if (options.mode != MODE_HOLD) open_connection(c);
}

// Outcomes of a transfer that moved no bytes.
enum { WAIT = 0, ENDED = -1, FAILED = -2 };

static ssize_t tls_outcome(struct connection *c, int result) {
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return WAIT;
    case SSL_ERROR_ZERO_RETURN: return ENDED;
    default: return FAILED;
    }
}

static ssize_t receive(struct connection *c, size_t most) {
    if (c->ssl) {
        int n = SSL_read(c->ssl, load.scratch, (int)most);
        return n > 0 ? n : tls_outcome(c, n);
    }
    ssize_t n = recv(c->fd, load.scratch, most, 0);
    return n > 0 ? n : n == 0 ? ENDED : errno == EAGAIN ? WAIT : FAILED;
}

// Sends what is left of `out`.
//
// Returns true when all of it is sent.
static bool send_rest(struct connection *c) {
    while (c->out_sent < c->out_length) {
        const unsigned char *from = c->out + c->out_sent;
        size_t count = c->out_length - c->out_sent;
        ssize_t n;
        if (c->ssl) {
            int result = SSL_write(c->ssl, from, (int)count);
            n = result > 0 ? result : tls_outcome(c, result);
        } else {
            n = send(c->fd, from, count, MSG_NOSIGNAL);
            if (n < 0) n = errno == EAGAIN ? WAIT : FAILED;
        }
        if (n == WAIT) {
            c->was_full = true;
            return false;
        }
        if (n < 0) {
            failed(c, "sending");
            return false;
        }
        c->out_sent += (size_t)n;
    }
    return true;
}

static void again(struct connection *c, const unsigned char *out, size_t length) {
    c->out = out;
    c->out_sent = 0;
    c->out_length = length;
    c->is_sending = true;
}

static void finish(struct connection *c) {
    load.finished++;
    if (load.is_measuring) {
        load.counted++;
        if (c->ssl && SSL_session_reused(c->ssl)) load.resumed++;
    }
    if (options.operations && load.finished >= options.operations) load.is_over = true;
}

// The echo of `expected` bytes came back: what next?
//
// Returns true when another message is to be sent at once.
static bool echoed(struct connection *c) {
    switch (options.mode) {
    case MODE_ECHO:
        finish(c);
        if (load.is_over) return false;
        again(c, request + 1, options.size);
        return true;
    case MODE_HOLD:
        c->state = STATE_PARKED;
        load.parked++;
        return false;
    default:
        finish(c);
        close_connection(c);
        if (!load.is_over) open_connection(c);
        return false;
    }
}

static void drive_echo(struct connection *c) {
    size_t expected = options.mode == MODE_ECHO ? options.size : 1;
    for (;;) {
        if (c->is_sending) {
            if (!send_rest(c)) return;
            bool was_full = c->was_full;
            c->is_sending = c->was_full = false;
            c->received = 0;
            // The answer makes an edge of its own; only behind a send that waited it may be there.
            if (!was_full) return;
        }
        while (c->received < expected) {
            ssize_t n = receive(c, expected - c->received);
            if (n == WAIT) return;
            if (n < 0) return failed(c, "receiving an echo");
            if (memcmp(load.scratch, request + 1 + c->received, (size_t)n)) fail("an echo differs");
            c->received += (size_t)n;
        }
        if (!echoed(c)) return;
    }
}

// Edge-triggered: has epoll tell again, after the others' turn.
static void rearm(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void drive_bulk_in(struct connection *c) {
    for (int i = 0; i < TURNS; i++) {
        size_t before = c->out_sent;
        bool is_header = c->out == request;
        bool is_sent = send_rest(c);
        if (c->state != STATE_RUNNING) return;
        if (load.is_measuring && !is_header) load.bytes += c->out_sent - before;
        if (!is_sent) return;
        again(c, request + 1, BULK_CHUNK);
    }
    rearm(c);
}

static void drive_bulk_out(struct connection *c) {
    if (c->is_sending && !send_rest(c)) return;
    c->is_sending = false;
    for (int i = 0; i < 4 * TURNS; i++) {
        ssize_t n = receive(c, SCRATCH);
        if (n == WAIT) return;
        if (n == ENDED && c->bulk_received == bulk_count) {
            close_connection(c);
            return open_connection(c);
        }
        if (n < 0) return failed(c, "receiving in bulk");
        c->bulk_received += (uint64_t)n;
        if (load.is_measuring) load.bytes += (uint64_t)n;
    }
    rearm(c);
}

static void drive(struct connection *c) {
    if (c->state == STATE_CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        errno = error;
        if (error) return failed(c, "connecting");
        c->state = STATE_HANDSHAKING;
    }
    if (c->state == STATE_HANDSHAKING) {
        int result = c->ssl ? SSL_do_handshake(c->ssl) : 1;
        if (result != 1) {
            if (tls_outcome(c, result) != WAIT) failed(c, "the handshake");
            return;
        }
        c->state = STATE_RUNNING;
        load.opening--;
    }
    if (c->state != STATE_RUNNING) return;
    switch (options.mode) {
    case MODE_BULK_IN: return drive_bulk_in(c);
    case MODE_BULK_OUT: return drive_bulk_out(c);
    default: return drive_echo(c);
    }
}

void send_one_byte(struct connection *c) {
    c->state = STATE_RUNNING;
    load.parked--;
    again(c, request + 1, 1);
    drive_echo(c);
}

void turn(int timeout_ms) {
    struct epoll_event events[256];
    int count = epoll_wait(load.epoll, events, 256, timeout_ms);
    for (int i = 0; i < count && !load.is_over; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->state != STATE_UNUSED) drive(c);
    }
}
