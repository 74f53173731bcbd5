// The reference of the benchmarks: what a server can do on this machine's OpenSSL when nothing stands
// in between. OpenSSL is straight on the descriptor (SSL_set_fd), epoll is level-triggered, one thread
// has one loop, one ticket is sent a handshake, and buffers are given back between records.
//
// The first byte of a connection says what follows: `E` echo everything after it, `S` discard
// everything, `G` and an 8-byte big-endian count: send that many bytes, then close.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 64 << 10,
    RECORD = 16 << 10, // the most plaintext of a record
    TURNS = 16,        // pieces a connection may move before the others' turn
    ACCEPTS = 64,      // connections accepted in a row
    BACKLOG = 4096,
};

static struct {
    int port, threads;
    bool plain;
    const char *chain, *key;
} options = {.threads = 1};

struct loop;
struct connection {
    int fd;
    uint32_t events; // what epoll watches
    SSL *ssl;
    struct loop *loop;
    bool is_open;    // the handshake is over
    bool is_waiting; // in the loop's list
    char command;    // 0: not read yet
    bool is_sending; // 'G' with its count
    unsigned count_bytes;
    uint64_t remaining;
    unsigned char *unsent; // of an echo that the socket would not take
    size_t unsent_length;
    struct connection *next;
};
struct loop {
    int epoll, listener;
    struct connection *waiting; // those that have more to do without news from epoll
    unsigned char *buffer;
};

static SSL_CTX *context;
static unsigned char zeros[BUFFER];

static void fail(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

// Outcomes of a transfer that moved no bytes.
enum { WAIT = 0, OVER = -1 };

static ssize_t outcome(struct connection *c, int result) {
    int error = SSL_get_error(c->ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? WAIT : OVER;
}

static ssize_t receive(struct connection *c, void *into, size_t most) {
    if (c->ssl) {
        int n = SSL_read(c->ssl, into, (int)most);
        return n > 0 ? n : outcome(c, n);
    }
    ssize_t n = recv(c->fd, into, most, 0);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? WAIT : OVER;
}

static ssize_t transmit(struct connection *c, const void *from, size_t count) {
    if (c->ssl) {
        int n = SSL_write(c->ssl, from, (int)count);
        return n > 0 ? n : outcome(c, n);
    }
    ssize_t n = send(c->fd, from, count, MSG_NOSIGNAL);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? WAIT : OVER;
}

// What a connection needs next.
enum need { NEEDS_INPUT, NEEDS_ROOM, NEEDS_TURN, IS_OVER };

static enum need echo(struct connection *c, const unsigned char *bytes, size_t count) {
    while (count > 0) {
        ssize_t n = transmit(c, bytes, count);
        if (n == OVER) return IS_OVER;
        if (n == WAIT) {
            if (!(c->unsent = malloc(count))) return IS_OVER;
            memcpy(c->unsent, bytes, count);
            c->unsent_length = count;
            return NEEDS_ROOM;
        }
        bytes += n;
        count -= (size_t)n;
    }
    return NEEDS_INPUT;
}

static enum need echo_rest(struct connection *c) {
    unsigned char *bytes = c->unsent;
    c->unsent = NULL;
    enum need need = echo(c, bytes, c->unsent_length);
    free(bytes);
    return need;
}

static enum need send_bulk(struct connection *c) {
    for (int i = 0; c->remaining > 0; i++) {
        if (i == TURNS) return NEEDS_TURN;
        size_t count = c->remaining < BUFFER ? (size_t)c->remaining : BUFFER;
        ssize_t n = transmit(c, zeros, count);
        if (n == OVER) return IS_OVER;
        if (n == WAIT) return NEEDS_ROOM;
        c->remaining -= (uint64_t)n;
    }
    return IS_OVER;
}

static enum need take(struct connection *c, const unsigned char *bytes, size_t count) {
    if (c->command == 0) {
        c->command = (char)*bytes++;
        count--;
    }
    switch (c->command) {
    case 'S': return NEEDS_INPUT;
    case 'E': return echo(c, bytes, count);
    case 'G':
        for (; count > 0 && c->count_bytes < 8; count--, c->count_bytes++)
            c->remaining = c->remaining << 8 | *bytes++;
        c->is_sending = c->count_bytes == 8;
        return c->is_sending ? send_bulk(c) : NEEDS_INPUT;
    default: return IS_OVER;
    }
}

// Decrypts all records that are there, then uses them at once.
static enum need receive_turns(struct connection *c) {
    unsigned char *buffer = c->loop->buffer;
    for (int i = 0; i < TURNS; i++) {
        size_t count = 0;
        ssize_t n;
        bool has_more = false;
        do {
            n = receive(c, buffer + count, BUFFER - count);
            if (n <= 0) break;
            count += (size_t)n;
            has_more = c->ssl && SSL_has_pending(c->ssl);
        } while (has_more && count <= BUFFER - RECORD);
        if (count > 0) {
            enum need need = take(c, buffer, count);
            if (need != NEEDS_INPUT) return need;
        }
        if (n == OVER) return IS_OVER;
        if (n == WAIT || !has_more) return NEEDS_INPUT; // epoll tells of what the kernel has
    }
    return NEEDS_TURN;
}

static enum need drive(struct connection *c) {
    if (!c->is_open) {
        int result = SSL_accept(c->ssl);
        if (result != 1) {
            int error = SSL_get_error(c->ssl, result);
            return error == SSL_ERROR_WANT_READ ? NEEDS_INPUT
                   : error == SSL_ERROR_WANT_WRITE ? NEEDS_ROOM : IS_OVER;
        }
        c->is_open = true;
        // What came behind the client's Finished is in OpenSSL's buffer; epoll does not know of it.
        if (!SSL_has_pending(c->ssl)) return NEEDS_INPUT;
    }
    if (c->unsent) {
        enum need need = echo_rest(c);
        if (need != NEEDS_INPUT) return need;
    }
    return c->is_sending ? send_bulk(c) : receive_turns(c);
}

static void drop(struct connection *c) {
    if (c->ssl) {
        if (c->is_open) SSL_shutdown(c->ssl);
        ERR_clear_error();
        SSL_free(c->ssl);
    }
    for (struct connection **p = &c->loop->waiting; c->is_waiting && *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    close(c->fd);
    free(c->unsent);
    free(c);
}

static void watch(struct connection *c, uint32_t events) {
    if (c->events == events) return;
    c->events = events;
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void serve(struct connection *c) {
    enum need need = drive(c);
    if (need == IS_OVER) return drop(c);
    watch(c, need == NEEDS_ROOM ? EPOLLOUT : EPOLLIN);
    if (need != NEEDS_TURN || c->is_waiting) return;
    c->is_waiting = true;
    c->next = c->loop->waiting;
    c->loop->waiting = c;
}

static void accept_some(struct loop *loop) {
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = accept4(loop->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        if (!c) fail("calloc");
        *c = (struct connection){.fd = fd, .loop = loop, .events = EPOLLIN, .is_open = options.plain};
        if (!options.plain) {
            if (!(c->ssl = SSL_new(context))) fail("SSL_new");
            SSL_set_fd(c->ssl, fd);
            SSL_set_accept_state(c->ssl);
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
    }
}

static void *run(void *argument) {
    struct loop *loop = argument;
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(loop->epoll, events, 256, loop->waiting ? 0 : -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) accept_some(loop);
            else if (!c->is_waiting) serve(c); // else it has its turn below
        }
        struct connection *list = loop->waiting;
        loop->waiting = NULL;
        while (list) {
            struct connection *c = list;
            list = c->next;
            c->is_waiting = false;
            serve(c);
        }
    }
    return NULL;
}

static void start(struct loop *loop) {
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    loop->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(loop->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (options.threads > 1) setsockopt(loop->listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(loop->listener, (struct sockaddr *)&address, length) || listen(loop->listener, BACKLOG))
        fail("listen");
    getsockname(loop->listener, (struct sockaddr *)&address, &length);
    options.port = ntohs(address.sin_port); // the other loops' too
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->buffer = malloc(BUFFER);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (!loop->buffer || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->listener, &event)) fail("epoll_ctl");
}

static void make_context(void) {
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, options.chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, options.key, SSL_FILETYPE_PEM) != 1)
        fail("certificate");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); // tickets carry the state
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, BUFFER);
}

static void usage(int status) {
    fputs("sockets-bench-reference --cert CHAIN --key KEY [--port P] [--plain] [--threads N]\n",
          status ? stderr : stdout);
    exit(status);
}

int main(int count, char **arguments) {
    static const struct option names[] = {{"port", 1, 0, 'p'},  {"cert", 1, 0, 'c'},    {"key", 1, 0, 'k'},
                                          {"plain", 0, 0, 'x'}, {"threads", 1, 0, 't'}, {"help", 0, 0, 'h'},
                                          {0, 0, 0, 0}};
    for (int o; (o = getopt_long(count, arguments, "h", names, NULL)) != -1;) switch (o) {
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.chain = optarg; break;
        case 'k': options.key = optarg; break;
        case 'x': options.plain = true; break;
        case 't': options.threads = atoi(optarg); break;
        case 'h': usage(0); break;
        default: usage(2);
        }
    if (options.threads < 1 || (!options.plain && (!options.chain || !options.key))) usage(2);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!options.plain) make_context();
    struct loop *loops = calloc((size_t)options.threads, sizeof *loops);
    for (int i = 0; i < options.threads; i++) start(&loops[i]);
    printf("listening on 127.0.0.1:%d\n", options.port);
    fflush(stdout);
    for (int i = 1; i < options.threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, &loops[i])) fail("pthread_create");
    }
    run(&loops[0]);
}
