// A handshake on a stack of its own. See CExternalKey.h for the rules.
#define _GNU_SOURCE

#include "CExternalKey.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

// Sanitizers follow a thread by its stack, and must be told of every switch.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CEK_ASAN 1
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer)
#define CEK_TSAN 1
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif
#endif

// Reserved; of it only pages that were touched are memory. A handshake with the verification of a
// chain uses a tenth of it (cek_stack_used), ten times that under a sanitizer.
enum { STACK_BYTES = 512 * 1024, SPARE_MAX = 32 };

typedef struct stack {
    struct stack *next;
    uint8_t *low; // the page that nobody may touch, the rest above it
    void *tsan;
} stack;

struct cek_handshake {
    ucontext_t caller, own;
    stack *stack; // NULL when none is in use
    SSL *ssl;
    int result, is_waiting;
    cek_request request;
    uint8_t *signature;
    size_t count;
    void *asan_caller, *asan_own;
    const void *caller_low;
    size_t caller_bytes;
    void *tsan_caller;
};

// MARK: Stacks

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static stack *spares;
static int spare_count;
static size_t used_most;

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static stack *make_stack(void) {
    stack *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    size_t page = page_bytes();
    void *low = mmap(NULL, STACK_BYTES + page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (low == MAP_FAILED || mprotect(low, page, PROT_NONE) != 0) {
        if (low != MAP_FAILED) munmap(low, STACK_BYTES + page);
        free(s);
        return NULL;
    }
    s->low = low;
    return s;
}

static void free_stack(stack *s) {
    munmap(s->low, STACK_BYTES + page_bytes());
    free(s);
}

static stack *take_stack(void) {
    pthread_mutex_lock(&lock);
    stack *s = spares;
    if (s) {
        spares = s->next;
        spare_count--;
    }
    pthread_mutex_unlock(&lock);
    if (!s) s = make_stack();
#ifdef CEK_TSAN
    if (s) s->tsan = __tsan_create_fiber(0);
#endif
    return s;
}

static void give_stack_back(stack *s) {
#ifdef CEK_TSAN
    __tsan_destroy_fiber(s->tsan);
#endif
    pthread_mutex_lock(&lock);
    int is_spare = spare_count < SPARE_MAX;
    if (is_spare) {
        s->next = spares;
        spares = s;
        spare_count++;
    }
    pthread_mutex_unlock(&lock);
    if (!is_spare) free_stack(s);
}

// How deep it went shows in what is not zero any more: pages come as zeros.
size_t cek_stack_used(void) {
    size_t page = page_bytes();
    pthread_mutex_lock(&lock);
    for (stack *s = spares; s; s = s->next) {
        size_t free_bytes = 0;
        while (free_bytes < STACK_BYTES && s->low[page + free_bytes] == 0) free_bytes++;
        if (STACK_BYTES - free_bytes > used_most) used_most = STACK_BYTES - free_bytes;
    }
    size_t used = used_most;
    pthread_mutex_unlock(&lock);
    return used;
}

// MARK: Switches

// The handshake on whose stack this thread is. Never looked at behind a switch on that stack: it may
// be another thread by then.
static _Thread_local cek_handshake *current;

// To the own stack and back; on the caller's.
static __attribute__((noinline)) void enter(cek_handshake *h) {
    cek_handshake *outer = current;
    current = h;
#ifdef CEK_ASAN
    __sanitizer_start_switch_fiber(&h->asan_caller, h->stack->low + page_bytes(), STACK_BYTES);
#endif
#ifdef CEK_TSAN
    h->tsan_caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(h->stack->tsan, 0);
#endif
    swapcontext(&h->caller, &h->own);
#ifdef CEK_ASAN
    __sanitizer_finish_switch_fiber(h->asan_caller, NULL, NULL);
#endif
    current = outer;
}

// To the caller, and back with the answer; on the own stack.
static __attribute__((noinline)) void leave(cek_handshake *h, int for_good) {
#ifdef CEK_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &h->asan_own, h->caller_low, h->caller_bytes);
#endif
#ifdef CEK_TSAN
    __tsan_switch_to_fiber(h->tsan_caller, 0);
#endif
    if (for_good) setcontext(&h->caller);
    swapcontext(&h->own, &h->caller);
#ifdef CEK_ASAN
    __sanitizer_finish_switch_fiber(h->asan_own, &h->caller_low, &h->caller_bytes);
#endif
}

static void run(void) {
    cek_handshake *h = current;
#ifdef CEK_ASAN
    __sanitizer_finish_switch_fiber(NULL, &h->caller_low, &h->caller_bytes);
#endif
    h->result = SSL_do_handshake(h->ssl);
    h->is_waiting = 0;
    leave(h, 1);
}

// MARK: Steps

cek_handshake *cek_handshake_new(void) { return calloc(1, sizeof(cek_handshake)); }

static void forget_signature(cek_handshake *h) {
    free(h->signature);
    h->signature = NULL;
    h->count = 0;
}

int cek_handshake_step(cek_handshake *h, SSL *ssl) {
    if (!h->stack) {
        h->stack = take_stack();
        if (!h->stack) return CEK_NO_MEMORY;
        (void)getcontext(&h->own); // cannot fail in glibc
        h->own.uc_stack.ss_sp = h->stack->low + page_bytes();
        h->own.uc_stack.ss_size = STACK_BYTES;
        h->own.uc_link = NULL;
        h->ssl = ssl;
        makecontext(&h->own, run, 0);
    }
    enter(h);
    if (h->is_waiting) return CEK_WAITS;
    give_stack_back(h->stack);
    h->stack = NULL;
    forget_signature(h);
    return h->result;
}

const cek_request *cek_handshake_request(const cek_handshake *h) {
    return h->is_waiting ? &h->request : NULL;
}

int cek_handshake_answer(cek_handshake *h, const uint8_t *signature, size_t count) {
    forget_signature(h);
    if (count == 0) return 1;
    h->signature = malloc(count);
    if (!h->signature) return 0;
    memcpy(h->signature, signature, count);
    h->count = count;
    return 1;
}

void cek_handshake_free(cek_handshake *h) {
    if (!h) return;
    forget_signature(h);
    // Frames of OpenSSL wait on the stack, and hold memory: they go the way of a failed signature.
    while (h->is_waiting) (void)cek_handshake_step(h, h->ssl);
    if (h->stack) give_stack_back(h->stack);
    free(h);
}

int cek_sign(const cek_request *request, uint8_t *signature, size_t *count) {
    cek_handshake *h = current;
    if (!h) return 0;
    h->request = *request;
    h->is_waiting = 1;
    leave(h, 0);
    h->is_waiting = 0;
    if (h->count == 0 || h->count > *count) return 0;
    memcpy(signature, h->signature, h->count);
    *count = h->count;
    return 1;
}
