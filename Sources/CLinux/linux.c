// Bodies of CLinux.h. Only this side may ask for GNU declarations.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline int checked(int result) { return result < 0 ? -errno : result; }

// ---- raw system calls --------------------------------------------------------------------------

// Without glibc's cancellation books. The thread sanitiser knows only glibc's names, and learns from them
// which thread's work the kernel has ordered before which.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CL_GLIBC_CALLS 1
#endif
#endif

#if CL_GLIBC_CALLS
#define raw_receive(descriptor, bytes, count, flags) recv(descriptor, bytes, count, flags)
#define raw_send(descriptor, bytes, count, flags) send(descriptor, bytes, count, flags)
#define raw_read(descriptor, bytes, count) read(descriptor, bytes, count)
#define raw_write(descriptor, bytes, count) write(descriptor, bytes, count)
#define raw_close(descriptor) close(descriptor)
#define raw_epoll_wait(epoll, events, capacity, ms) epoll_wait(epoll, events, capacity, ms)
#else
#define raw_receive(descriptor, bytes, count, flags) \
    syscall(SYS_recvfrom, descriptor, bytes, count, flags, NULL, NULL)
#define raw_send(descriptor, bytes, count, flags) \
    syscall(SYS_sendto, descriptor, bytes, count, flags, NULL, 0)
#define raw_read(descriptor, bytes, count) syscall(SYS_read, descriptor, bytes, count)
#define raw_write(descriptor, bytes, count) syscall(SYS_write, descriptor, bytes, count)
#define raw_close(descriptor) syscall(SYS_close, descriptor)
#define raw_epoll_wait(epoll, events, capacity, ms) \
    syscall(SYS_epoll_pwait, epoll, events, capacity, ms, NULL, (size_t)8)
#endif

// ---- bytes -------------------------------------------------------------------------------------

long cl_receive(int descriptor, void *bytes, size_t count) {
    for (;;) {
        long n = raw_receive(descriptor, bytes, count, 0);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

long cl_send(int descriptor, const void *bytes, size_t count) {
    for (;;) {
        long n = raw_send(descriptor, bytes, count, MSG_NOSIGNAL);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

long cl_peek(int descriptor, void *bytes, size_t count) {
    for (;;) {
        long n = raw_receive(descriptor, bytes, count, MSG_PEEK);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

long cl_read(int descriptor, void *bytes, size_t count) {
    for (;;) {
        long n = raw_read(descriptor, bytes, count);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

long cl_write(int descriptor, const void *bytes, size_t count) {
    for (;;) {
        long n = raw_write(descriptor, bytes, count);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

// Linux frees the number even when close reports EINTR, so it is never called twice.
int cl_close(int descriptor) { return raw_close(descriptor) < 0 ? -errno : 0; }

long cl_unread_bytes(int descriptor) {
    int count = 0;
    return ioctl(descriptor, FIONREAD, &count) < 0 ? -errno : count;
}

long cl_unsent_bytes(int descriptor) {
    int count = 0;
    return ioctl(descriptor, SIOCOUTQ, &count) < 0 ? -errno : count;
}

// ---- addresses ---------------------------------------------------------------------------------

_Static_assert(sizeof(struct sockaddr_storage) == CL_SOCKADDR_SIZE, "sockaddr_storage");
_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == CL_UNIX_PATH_SIZE, "sun_path");

static void put64(uint8_t *bytes, uint64_t value) {
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get64(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
    return value;
}

int cl_address_encode(const struct cl_address *address, void *out) {
    if (address->family == CL_FAMILY_IPV4) {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        ipv4.sin_addr.s_addr = htonl((uint32_t)address->low);
        memcpy(out, &ipv4, sizeof ipv4);
        return sizeof ipv4;
    }
    if (address->family == CL_FAMILY_IPV6) {
        struct sockaddr_in6 ipv6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(address->port), .sin6_scope_id = address->scope};
        put64(ipv6.sin6_addr.s6_addr, address->high);
        put64(ipv6.sin6_addr.s6_addr + 8, address->low);
        memcpy(out, &ipv6, sizeof ipv6);
        return sizeof ipv6;
    }
    if (address->family == CL_FAMILY_UNIX) {
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        size_t length = address->path_length;
        if (length > sizeof local.sun_path) return -ENAMETOOLONG;
        memcpy(local.sun_path, address->path, length);
        // An abstract name (first byte NUL) ends where its length says, a path at its NUL.
        if (length > 0 && address->path[0] != 0) {
            if (length == sizeof local.sun_path) return -ENAMETOOLONG;
            length += 1;
        }
        memcpy(out, &local, sizeof local);
        return (int)(offsetof(struct sockaddr_un, sun_path) + length);
    }
    return -EAFNOSUPPORT;
}

void cl_address_decode(struct cl_address *address, const void *from, size_t length) {
    memset(address, 0, sizeof *address);
    sa_family_t family = AF_UNSPEC;
    if (length >= sizeof family) memcpy(&family, from, sizeof family);
    if (family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, from, sizeof ipv4);
        address->family = CL_FAMILY_IPV4;
        address->port = ntohs(ipv4.sin_port);
        address->low = ntohl(ipv4.sin_addr.s_addr);
    } else if (family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, from, sizeof ipv6);
        address->family = CL_FAMILY_IPV6;
        address->port = ntohs(ipv6.sin6_port);
        address->scope = ipv6.sin6_scope_id;
        address->high = get64(ipv6.sin6_addr.s6_addr);
        address->low = get64(ipv6.sin6_addr.s6_addr + 8);
    } else if (family == AF_UNIX) {
        size_t start = offsetof(struct sockaddr_un, sun_path);
        size_t count = length > start ? length - start : 0;
        if (count > CL_UNIX_PATH_SIZE) count = CL_UNIX_PATH_SIZE;
        address->family = CL_FAMILY_UNIX;
        memcpy(address->path, (const char *)from + start, count);
        if (count > 0 && address->path[0] != 0) count = strnlen(address->path, count);
        address->path_length = (uint32_t)count;
    }
}

int cl_interface_index(const char *name) {
    unsigned index = if_nametoindex(name);
    return index == 0 ? -errno : (int)index;
}

int cl_interface_name(uint32_t index, char *name) { return if_indextoname(index, name) ? 0 : -errno; }

// ---- stream sockets ----------------------------------------------------------------------------

int cl_stream_socket(int family) {
    int domain = family == CL_FAMILY_IPV4 ? AF_INET : family == CL_FAMILY_IPV6 ? AF_INET6 : AF_UNIX;
    return checked(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int cl_connect(int descriptor, const struct cl_address *to) {
    struct sockaddr_storage storage;
    int length = cl_address_encode(to, &storage);
    if (length < 0) return length;
    return checked(connect(descriptor, (struct sockaddr *)&storage, (socklen_t)length));
}

int cl_bind(int descriptor, const struct cl_address *to) {
    struct sockaddr_storage storage;
    int length = cl_address_encode(to, &storage);
    if (length < 0) return length;
    return checked(bind(descriptor, (struct sockaddr *)&storage, (socklen_t)length));
}

int cl_listen(int descriptor, int backlog) { return checked(listen(descriptor, backlog)); }

int cl_accept(int listener, struct cl_address *from) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int accepted = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) return -errno;
    cl_address_decode(from, &storage, length);
    return accepted;
}

int cl_local_address(int descriptor, struct cl_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getsockname(descriptor, (struct sockaddr *)&storage, &length) < 0) return -errno;
    cl_address_decode(address, &storage, length);
    return 0;
}

int cl_remote_address(int descriptor, struct cl_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getpeername(descriptor, (struct sockaddr *)&storage, &length) < 0) return -errno;
    cl_address_decode(address, &storage, length);
    return 0;
}

int cl_shutdown_write(int descriptor) { return checked(shutdown(descriptor, SHUT_WR)); }

int cl_set_reset_on_close(int descriptor) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return checked(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

int cl_pending_error(int descriptor) {
    int code = 0;
    int result = cl_option(descriptor, SOL_SOCKET, SO_ERROR, &code);
    return result < 0 ? -result : code;
}

int cl_set_option(int descriptor, int level, int name, int value) {
    return checked(setsockopt(descriptor, level, name, &value, sizeof value));
}

int cl_option(int descriptor, int level, int name, int *value) {
    socklen_t length = sizeof *value;
    return checked(getsockopt(descriptor, level, name, value, &length));
}

int cl_socket_pair(int *first, int *second) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
    *first = pair[0];
    *second = pair[1];
    return 0;
}

int cl_unlink(const char *path) { return checked(unlink(path)); }

int cl_is_socket_path(const char *path) {
    struct stat status;
    return lstat(path, &status) < 0 ? -errno : S_ISSOCK(status.st_mode);
}

const int cl_level_socket = SOL_SOCKET, cl_level_tcp = IPPROTO_TCP;
const int cl_level_ipv4 = IPPROTO_IP, cl_level_ipv6 = IPPROTO_IPV6;
const int cl_tcp_no_delay = TCP_NODELAY, cl_tcp_keep_idle = TCP_KEEPIDLE;
const int cl_tcp_keep_interval = TCP_KEEPINTVL, cl_tcp_keep_count = TCP_KEEPCNT;
const int cl_ip_ttl = IP_TTL, cl_ipv6_unicast_hops = IPV6_UNICAST_HOPS, cl_ipv6_only = IPV6_V6ONLY;
const int cl_ip_bind_address_no_port = IP_BIND_ADDRESS_NO_PORT;
const int cl_send_buffer = SO_SNDBUF, cl_receive_buffer = SO_RCVBUF, cl_keep_alive = SO_KEEPALIVE;
const int cl_reuse_address = SO_REUSEADDR, cl_reuse_port = SO_REUSEPORT;

int cl_tcp_read_statistics(int descriptor, struct cl_tcp_statistics *statistics) {
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return -errno;
    *statistics = (struct cl_tcp_statistics){
        .segments_sent = info.tcpi_segs_out,
        .segments_received = info.tcpi_segs_in,
        .retransmits = info.tcpi_total_retrans,
        .round_trip_us = info.tcpi_rtt,
        .round_trip_variance_us = info.tcpi_rttvar,
        .minimum_round_trip_us = info.tcpi_min_rtt,
        .send_mss = info.tcpi_snd_mss,
        .congestion_window = info.tcpi_snd_cwnd,
        .bytes_acknowledged = info.tcpi_bytes_acked,
        .bytes_received = info.tcpi_bytes_received,
        .delivery_rate = info.tcpi_delivery_rate,
    };
    return 0;
}

// ---- readiness ---------------------------------------------------------------------------------

int cl_epoll_create(void) { return checked(epoll_create1(EPOLL_CLOEXEC)); }

int cl_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return checked(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event));
}

int cl_epoll_remove(int epoll, int descriptor) {
    struct epoll_event unused = {0};
    return checked(epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &unused));
}

int cl_epoll_wait(int epoll, struct epoll_event *events, int capacity, int milliseconds) {
    long n = raw_epoll_wait(epoll, events, capacity, milliseconds);
    if (n >= 0) return (int)n;
    return errno == EINTR ? 0 : -errno;
}

int cl_eventfd(void) { return checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int cl_eventfd_semaphore(void) { return checked(eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC)); }

// ---- names -------------------------------------------------------------------------------------

int cl_lookup(
    const char *name, int family, struct cl_address *addresses, int capacity, int *eai, int *system_error) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    hints.ai_family = family == CL_FAMILY_IPV4 ? AF_INET : family == CL_FAMILY_IPV6 ? AF_INET6 : AF_UNSPEC;
    struct addrinfo *list = NULL;
    errno = 0;
    int result = getaddrinfo(name, name ? NULL : "0", &hints, &list);
    if (result != 0) {
        *system_error = errno;
        *eai = result;
        return -1;
    }
    int count = 0;
    for (struct addrinfo *each = list; each && count < capacity; each = each->ai_next) {
        cl_address_decode(&addresses[count], each->ai_addr, each->ai_addrlen);
        if (addresses[count].family != CL_FAMILY_NONE) count += 1;
    }
    freeaddrinfo(list);
    return count;
}

const char *cl_lookup_error_text(int eai) { return gai_strerror(eai); }

const int cl_eai_no_name = EAI_NONAME, cl_eai_no_data = EAI_NODATA;
const int cl_eai_address_family = EAI_ADDRFAMILY, cl_eai_again = EAI_AGAIN, cl_eai_fail = EAI_FAIL;
const int cl_eai_memory = EAI_MEMORY, cl_eai_system = EAI_SYSTEM;

void cl_error_text(int code, char *text, size_t capacity) {
    const char *found = strerror_r(code, text, capacity);  // the GNU form may answer a constant
    if (found != text) {
        strncpy(text, found, capacity - 1);
        text[capacity - 1] = 0;
    }
}

// ---- threads, time, limits ---------------------------------------------------------------------

uint64_t cl_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int cl_usable_cores(void) {
    // The kernel answers EINVAL while the set is smaller than its own.
    for (int cores = 1024; cores <= 1 << 20; cores *= 2) {
        cpu_set_t *set = CPU_ALLOC(cores);
        if (!set) break;
        size_t size = CPU_ALLOC_SIZE(cores);
        int result = sched_getaffinity(0, size, set);
        int reason = errno;
        int count = result == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (result == 0) return count > 0 ? count : 1;
        if (reason != EINVAL) break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int cl_thread_start(void *(*body)(void *), void *context) {
    // The application's signals go to the application's threads. What the hardware or a profiler raises
    // for this very thread must still arrive here.
    static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) sigdelset(&blocked, kept[i]);

    pthread_attr_t attributes;
    int result = pthread_attr_init(&attributes);
    if (result != 0) return -result;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    pthread_t thread;
    result = pthread_create(&thread, &attributes, body, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -result;
}

void cl_thread_set_name(const char *name) { pthread_setname_np(pthread_self(), name); }

void cl_thread_name(char *name) {
    if (pthread_getname_np(pthread_self(), name, 16) != 0) name[0] = 0;
}

long cl_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur > (rlim_t)INT32_MAX ? INT32_MAX : (long)limit.rlim_cur;
}

// ---- what belongs to a thread ------------------------------------------------------------------

_Thread_local void *cl_thread_loop;
_Thread_local uint8_t *cl_thread_scratch;

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static atomic_long scratch_areas;

static void scratch_free(void *area) {
    // A later destructor that wants scratch again gets a new area, and this one runs again for it.
    cl_thread_scratch = NULL;
    munmap(area, CL_SCRATCH_SIZE);
    atomic_fetch_sub(&scratch_areas, 1);
}

static void scratch_make_key(void) {
    if (pthread_key_create(&scratch_key, scratch_free) != 0) abort();
}

uint8_t *cl_scratch_make(void) {
    pthread_once(&scratch_once, scratch_make_key);
    uint8_t *area =
        mmap(NULL, CL_SCRATCH_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) return NULL;
    if (mprotect(area + CL_SCRATCH_INPUT_AT, CL_SCRATCH_INPUT, PROT_READ | PROT_WRITE) != 0
        || mprotect(area + CL_SCRATCH_OUTPUT_AT, CL_SCRATCH_OUTPUT, PROT_READ | PROT_WRITE) != 0
        || mprotect(area + CL_SCRATCH_PLAINTEXT_AT, CL_SCRATCH_PLAINTEXT, PROT_READ | PROT_WRITE) != 0
        || pthread_setspecific(scratch_key, area) != 0) {
        munmap(area, CL_SCRATCH_SIZE);
        return NULL;
    }
    atomic_fetch_add(&scratch_areas, 1);
    cl_thread_scratch = area;
    return area;
}

long cl_scratch_areas(void) { return atomic_load(&scratch_areas); }
