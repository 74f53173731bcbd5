// What Glibc's own module lacks, behind plain prototypes.
//
// Conventions
// - A function that can fail returns a value of at least 0, or minus the errno. `errno` itself is not part of the contract.
// - Addresses travel as `struct cl_address`, a flat form of sockaddr_in, sockaddr_in6 and sockaddr_un in host byte order.
// - Never define _GNU_SOURCE here: it changes libc's types under the Glibc module. GNU calls live in linux.c.

#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

// ---- bytes -------------------------------------------------------------------------------------

// recvfrom(2) and sendto(2) as raw system calls: glibc's wrappers keep cancellation books around each
// call in a threaded process, which showed as 4 % of an echo. EINTR is retried inside.
long cl_receive(int descriptor, void *bytes, size_t count);
long cl_send(int descriptor, const void *bytes, size_t count);
long cl_peek(int descriptor, void *bytes, size_t count);
long cl_read(int descriptor, void *bytes, size_t count);
long cl_write(int descriptor, const void *bytes, size_t count);
int cl_close(int descriptor);
long cl_unread_bytes(int descriptor);  // FIONREAD
long cl_unsent_bytes(int descriptor);  // SIOCOUTQ

// ---- addresses ---------------------------------------------------------------------------------

enum {
    CL_FAMILY_NONE = 0,  // nothing this library speaks
    CL_FAMILY_IPV4 = 4,
    CL_FAMILY_IPV6 = 6,
    CL_FAMILY_UNIX = 1,
    CL_UNIX_PATH_SIZE = 108,
    CL_SOCKADDR_SIZE = 128
};

struct cl_address {
    int32_t family;        // CL_FAMILY_*
    uint16_t port;         // IPv4, IPv6
    uint32_t scope;        // IPv6: interface index, 0 for none
    uint64_t high, low;    // IPv6: the two halves as numbers; IPv4: the number in `low`
    uint32_t path_length;  // unix: bytes of `path`, a first NUL (abstract name) counted, a last one not
    char path[CL_UNIX_PATH_SIZE];
};

// Writes a sockaddr of at most CL_SOCKADDR_SIZE bytes; returns its length or -EAFNOSUPPORT.
int cl_address_encode(const struct cl_address *address, void *sockaddr);
void cl_address_decode(struct cl_address *address, const void *sockaddr, size_t length);

int cl_interface_index(const char *name);
// `name` has room for 16 bytes.
int cl_interface_name(uint32_t index, char *name);

// ---- stream sockets ----------------------------------------------------------------------------

int cl_stream_socket(int family);
int cl_connect(int descriptor, const struct cl_address *to);
int cl_bind(int descriptor, const struct cl_address *to);
int cl_listen(int descriptor, int backlog);
int cl_accept(int listener, struct cl_address *from);
int cl_local_address(int descriptor, struct cl_address *address);
int cl_remote_address(int descriptor, struct cl_address *address);
int cl_shutdown_write(int descriptor);
int cl_set_reset_on_close(int descriptor);
int cl_pending_error(int descriptor);  // SO_ERROR, 0 for none
int cl_set_option(int descriptor, int level, int name, int value);
int cl_option(int descriptor, int level, int name, int *value);
int cl_socket_pair(int *first, int *second);
int cl_unlink(const char *path);
int cl_is_socket_path(const char *path);  // 1, 0, or minus the errno

extern const int cl_level_socket, cl_level_tcp, cl_level_ipv4, cl_level_ipv6;
extern const int cl_tcp_no_delay, cl_tcp_keep_idle, cl_tcp_keep_interval, cl_tcp_keep_count;
extern const int cl_ip_ttl, cl_ipv6_unicast_hops, cl_ipv6_only, cl_ip_bind_address_no_port;
extern const int cl_send_buffer, cl_receive_buffer, cl_keep_alive, cl_reuse_address, cl_reuse_port;

// The part of TCP_INFO (linux/tcp.h) that is reported; fields an old kernel does not fill are 0.
struct cl_tcp_statistics {
    uint32_t segments_sent, segments_received, retransmits;
    uint32_t round_trip_us, round_trip_variance_us, minimum_round_trip_us;
    uint32_t send_mss, congestion_window;
    uint64_t bytes_acknowledged, bytes_received;
    uint64_t delivery_rate;  // bytes a second
};
int cl_tcp_read_statistics(int descriptor, struct cl_tcp_statistics *statistics);

// ---- readiness ---------------------------------------------------------------------------------

int cl_epoll_create(void);
int cl_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token);
int cl_epoll_remove(int epoll, int descriptor);
// Waits at most `milliseconds` (-1: for ever). EINTR counts as no event.
int cl_epoll_wait(int epoll, struct epoll_event *events, int capacity, int milliseconds);
int cl_eventfd(void);            // nonblocking
int cl_eventfd_semaphore(void);  // blocking, one count a read

static inline uint64_t cl_event_token(const struct epoll_event *event) { return event->data.u64; }
static inline uint32_t cl_event_flags(const struct epoll_event *event) { return event->events; }

// ---- names -------------------------------------------------------------------------------------

// getaddrinfo for stream sockets. `name` NULL asks for the loopback addresses. Fills at most `capacity`
// addresses in getaddrinfo's order and returns their number; on failure returns -1 with the EAI code, and
// the errno that EAI_SYSTEM refers to.
int cl_lookup(
    const char *name, int family, struct cl_address *addresses, int capacity, int *eai, int *system_error);
const char *cl_lookup_error_text(int eai);
extern const int cl_eai_no_name, cl_eai_no_data, cl_eai_address_family, cl_eai_again, cl_eai_fail;
extern const int cl_eai_memory, cl_eai_system;

void cl_error_text(int code, char *text, size_t capacity);

// ---- threads, time, limits ---------------------------------------------------------------------

uint64_t cl_clock(void);  // CLOCK_MONOTONIC in nanoseconds
int cl_usable_cores(void);
// Starts a detached thread that leaves the process's signals to the other threads.
int cl_thread_start(void *(*body)(void *), void *context);
void cl_thread_set_name(const char *name);
// `name` has room for 16 bytes.
void cl_thread_name(char *name);
// Raises the soft descriptor limit to the hard one; returns the limit now in force.
long cl_raise_descriptor_limit(void);

// ---- what belongs to a thread ------------------------------------------------------------------

extern _Thread_local void *cl_thread_loop;
static inline void *cl_loop_here(void) { return cl_thread_loop; }
static inline void cl_set_loop_here(void *loop) { cl_thread_loop = loop; }

enum {
    CL_SCRATCH_INPUT = 128 * 1024,
    CL_SCRATCH_OUTPUT = 256 * 1024,
    CL_SCRATCH_PLAINTEXT = 64 * 1024,
    CL_SCRATCH_GUARD = 64 * 1024,  // unmapped, before, between and after; a multiple of every page size
    CL_SCRATCH_INPUT_AT = CL_SCRATCH_GUARD,
    CL_SCRATCH_OUTPUT_AT = CL_SCRATCH_INPUT_AT + CL_SCRATCH_INPUT + CL_SCRATCH_GUARD,
    CL_SCRATCH_PLAINTEXT_AT = CL_SCRATCH_OUTPUT_AT + CL_SCRATCH_OUTPUT + CL_SCRATCH_GUARD,
    CL_SCRATCH_SIZE = CL_SCRATCH_PLAINTEXT_AT + CL_SCRATCH_PLAINTEXT + CL_SCRATCH_GUARD
};

// The current task of the Swift runtime, or NULL. The runtime exports this function for compiled
// code; `withUnsafeCurrentTask` reaches it through closures and optionals that cost ten times as
// much, and every wait of a connection asks.
__attribute__((swiftcall)) void *swift_task_getCurrent(void);
static inline uintptr_t cl_current_task(void) { return (uintptr_t)swift_task_getCurrent(); }

extern _Thread_local uint8_t *cl_thread_scratch;
uint8_t *cl_scratch_make(void);  // NULL when no memory is left
static inline uint8_t *cl_scratch(void) {
    uint8_t *area = cl_thread_scratch;
    return area ? area : cl_scratch_make();
}
// Threads that own a scratch area now.
long cl_scratch_areas(void);

#endif
