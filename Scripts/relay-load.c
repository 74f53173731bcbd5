// Client and backend of a relay in one thread, so that what remains is the relay's: connections that say
// a ClientHello and get an answer, bytes through a few of them, or many that are held. It tells what the
// relay's process used of processors and memory, and shares no code with what it measures.
//
//   relay-load connections|bulk|hold PORT BACKEND_PORT PID AMOUNT AT_ONCE
//
// AMOUNT is seconds, or connections to hold. One line comes out: numbers by name.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER = 1024, CHUNK = 128 << 10, MOST = 1 << 18, WARMUP_MS = 1000 };

enum role { NOBODY, LISTENER, CLIENT, BACKEND };
static struct peer {
    enum role role;
    int has_connected; // of a client: its hello is sent
    int round;         // of a held connection: answers so far
    size_t received;   // of a backend: bytes of the hello
} peers[MOST];

static enum { CONNECTIONS, BULK, HOLD } mode;
static int loop, port, backend_port, pid;
static unsigned char hello[4096], chunk[CHUNK];
static size_t hello_size;
static long finished, failed, open_clients, answered;
static unsigned long long carried;
static int is_ending;

static void die(const char *what) {
    fprintf(stderr, "relay-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

// What the relay used of processors, in seconds of all its threads.
static double used(void) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, sizeof text, file)) die(path);
    fclose(file);
    unsigned long user = 0, system = 0;
    sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static long memory(void) { // KiB
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    while (fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kib);
    fclose(file);
    return kib;
}

// A hello of the OpenSSL that is here.
static void make_hello(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_tlsext_host_name(ssl, "a.test");
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    SSL_connect(ssl);
    int count = BIO_read(out, hello, sizeof hello);
    if (count <= 0) die("hello");
    hello_size = (size_t)count;
}

static void watch(int fd, enum role role) {
    if (fd < 0) die("descriptor");
    if (fd >= MOST) die("too many descriptors");
    peers[fd] = (struct peer){.role = role};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (role == LISTENER) event.events = EPOLLIN;
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void drop(int fd) {
    peers[fd].role = NOBODY;
    close(fd);
}

static void begin(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // 28,000 ports are not enough for one address.
    struct sockaddr_in from = {.sin_family = AF_INET};
    static unsigned turn;
    from.sin_addr.s_addr = htonl(0x7f000002 + turn++ % 16);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
    open_clients += 1;
    watch(fd, CLIENT);
}

static void over(int fd, int is_well) {
    if (is_well) finished += 1;
    else failed += 1;
    open_clients -= 1;
    drop(fd);
    if (!is_ending && mode != HOLD) begin();
}

static void client(int fd, unsigned events) {
    struct peer *peer = &peers[fd];
    if (!peer->has_connected) {
        if (events & (EPOLLERR | EPOLLHUP)) return over(fd, 0);
        if (!(events & EPOLLOUT)) return;
        peer->has_connected = 1;
        if (send(fd, hello, hello_size, MSG_NOSIGNAL) != (ssize_t)hello_size) return over(fd, 0);
    }
    while (1) {
        ssize_t count = recv(fd, chunk, CHUNK, 0);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) return over(fd, count == 0 && peer->received == ANSWER);
        peer->received += (size_t)count;
        carried += (unsigned long long)count;
        if (mode == HOLD) {
            peer->round += 1;
            answered += 1;
        }
    }
}

static void flood(int fd) {
    while (send(fd, chunk, CHUNK, MSG_NOSIGNAL) > 0) {}
}

static void backend(int fd, unsigned events) {
    struct peer *peer = &peers[fd];
    while (1) {
        ssize_t count = recv(fd, chunk, CHUNK, 0);
        if (count < 0 && errno == EAGAIN) break;
        if (count <= 0) return drop(fd);
        int had_hello = peer->received >= hello_size;
        peer->received += (size_t)count;
        if (peer->received < hello_size) continue;
        if (mode == HOLD) send(fd, "x", 1, MSG_NOSIGNAL);
        if (mode == CONNECTIONS && !had_hello) {
            send(fd, chunk, ANSWER, MSG_NOSIGNAL);
            shutdown(fd, SHUT_WR);
        }
    }
    if (mode == BULK && peer->received >= hello_size) flood(fd);
    if (events & (EPOLLERR | EPOLLHUP)) drop(fd);
}

static void turn(int milliseconds) {
    struct epoll_event events[256];
    int count = epoll_wait(loop, events, 256, milliseconds);
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        switch (peers[fd].role) {
        case LISTENER:
            for (int k = 0; k < 64; k++) {
                int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK), on = 1;
                if (accepted < 0) break;
                setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                watch(accepted, BACKEND);
            }
            break;
        case CLIENT: client(fd, events[i].events); break;
        case BACKEND: backend(fd, events[i].events); break;
        case NOBODY: break;
        }
    }
}

static void run_for(double seconds) {
    for (double end = now() + seconds; now() < end;) turn(10);
}

static void measure(double seconds, int at_once) {
    for (int i = 0; i < at_once; i++) begin();
    run_for(WARMUP_MS / 1000.0);
    double began = now(), cpu = used();
    long before = finished;
    unsigned long long bytes = carried;
    run_for(seconds);
    double took = now() - began, spent = used() - cpu;
    long count = finished - before;
    double mib = (double)(carried - bytes) / (1 << 20);
    if (mode == CONNECTIONS)
        printf("per_second %.0f per_cpu_second %.0f failed %ld cpu %.2f\n", count / took,
            count / (spent > 0 ? spent : 1e9), failed, spent / took);
    else
        printf("mib_per_second %.0f mib_per_cpu_second %.0f failed %ld cpu %.2f\n", mib / took,
            mib / (spent > 0 ? spent : 1e9), failed, spent / took);
}

// Waits until so many answers have come, or half a minute.
static void wait_for(long target) {
    for (double end = now() + 30; answered < target && now() < end;) turn(10);
}

static void hold(int count, int at_once) {
    long before = memory();
    while (open_clients < count) {
        for (int i = 0; i < at_once && open_clients < count; i++) begin();
        wait_for(open_clients);
    }
    long held = answered;
    run_for(1);
    long after = memory();
    for (int fd = 0; fd < MOST; fd++)
        if (peers[fd].role == CLIENT) send(fd, "y", 1, MSG_NOSIGNAL);
    wait_for(2 * count);
    printf("held %ld alive %ld failed %ld kib_each %.2f\n", held, answered - held, failed,
        (double)(after - before) / count);
}

int main(int count, char **arguments) {
    if (count != 7) {
        fprintf(stderr, "usage: relay-load connections|bulk|hold PORT BACKEND_PORT PID AMOUNT AT_ONCE\n");
        return 2;
    }
    mode = !strcmp(arguments[1], "connections") ? CONNECTIONS : !strcmp(arguments[1], "bulk") ? BULK : HOLD;
    port = atoi(arguments[2]);
    backend_port = atoi(arguments[3]);
    pid = atoi(arguments[4]);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    make_hello();
    loop = epoll_create1(0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(backend_port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    watch(listener, LISTENER);
    if (mode == HOLD) hold(atoi(arguments[5]), atoi(arguments[6]));
    else measure(atof(arguments[5]), atoi(arguments[6]));
    return 0;
}
