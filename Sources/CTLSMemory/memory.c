// Blocks that OpenSSL gave back, by size. See CTLSMemory.h for the rules.
#define _GNU_SOURCE

#include "CTLSMemory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CTLSM_SANITIZED 1
#endif
#endif

// malloc's own sizes on 64-bit machines: 24 bytes and every 16 more.
enum { FIRST_SIZE = 24, STEP = 16, SIZES = 64, SMALL_MAX = FIRST_SIZE + STEP * (SIZES - 1) };

// What is kept for a thread. Where a block is stands here and not in a block, so that whoever writes
// behind the end of one changes no link.
typedef struct cache {
    size_t room; // bytes that it may still take
    uint8_t count[SIZES];
    uint8_t large_count;
    struct {
        void *block;
        size_t bytes;
    } large[CTLSM_LARGE_BLOCKS];
    struct cache *next; // of another thread
    void *small[SIZES][CTLSM_BLOCKS_OF_SIZE];
} cache;

// Made for a thread's first block: in the thread's own memory it would be 17 KiB of every stack.
static _Thread_local cache *own;
static _Thread_local uint8_t has_begun;
static pthread_key_t ending;
static int is_used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cache *all; // by the lock, as each one's next

// MARK: A thread's first block and its end

// Without memory for it, or a call at the thread's end, nothing is kept; behind that neither.
static cache *begin_thread(void) {
    if (has_begun) return NULL;
    has_begun = 1;
    cache *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    if (pthread_setspecific(ending, c) != 0) {
        free(c);
        return NULL;
    }
    c->room = CTLSM_KEPT_BYTES;
    pthread_mutex_lock(&lock);
    c->next = all;
    all = c;
    pthread_mutex_unlock(&lock);
    return own = c;
}

static void end_thread(void *value) {
    cache *c = value;
    own = NULL;
    pthread_mutex_lock(&lock);
    cache **place = &all;
    while (*place != c) place = &(*place)->next;
    *place = c->next;
    pthread_mutex_unlock(&lock);
    for (size_t size = 0; size < SIZES; size++) {
        while (c->count[size] > 0) free(c->small[size][--c->count[size]]);
    }
    while (c->large_count > 0) free(c->large[--c->large_count].block);
    free(c);
}

// MARK: The ways that are seldom taken

__attribute__((noinline)) static void *take_large(cache *c, size_t count) {
    for (size_t i = c->large_count; i-- > 0;) {
        size_t bytes = c->large[i].bytes;
        // A block that is much larger waits for a request of its size.
        if (bytes < count || bytes - count > count / 8) continue;
        void *block = c->large[i].block;
        c->large[i] = c->large[--c->large_count];
        c->room += bytes;
        return block;
    }
    return malloc(count);
}

__attribute__((noinline)) static void give_large(cache *c, void *block, size_t bytes) {
    if (bytes <= SMALL_MAX || bytes > CTLSM_BLOCK_BYTES || bytes > c->room
        || c->large_count == CTLSM_LARGE_BLOCKS) {
        free(block);
        return;
    }
    for (size_t i = 0; i < c->large_count; i++) {
        if (c->large[i].block == block) abort();
    }
    c->large[c->large_count].block = block;
    c->large[c->large_count++].bytes = bytes;
    c->room -= bytes;
}

// MARK: What OpenSSL calls

static void *take(size_t count, const char *file, int line) {
    (void)file, (void)line;
    cache *c = own;
    // OpenSSL means nothing by 0 bytes.
    if (c == NULL || count == 0) return count == 0 ? NULL : malloc(count);
    if (count > SMALL_MAX) return take_large(c, count);
    // The size whose blocks all have room for so many bytes.
    size_t size = count <= FIRST_SIZE ? 0 : (count - FIRST_SIZE + STEP - 1) / STEP;
    if (c->count[size] == 0) return malloc(count);
    c->room += FIRST_SIZE + STEP * size;
    return c->small[size][--c->count[size]];
}

static void give(void *block, const char *file, int line) {
    (void)file, (void)line;
    if (block == NULL) return;
    cache *c = own;
    if (c == NULL && (c = begin_thread()) == NULL) {
        free(block);
        return;
    }
    size_t bytes = malloc_usable_size(block);
    size_t size = (bytes - FIRST_SIZE) / STEP; // of fewer bytes than the first size: none
    if (size >= SIZES || bytes > c->room || c->count[size] == CTLSM_BLOCKS_OF_SIZE) {
        give_large(c, block, bytes);
        return;
    }
    unsigned count = c->count[size];
    // As malloc does: what comes back twice would be handed out twice.
    if (count > 0 && c->small[size][count - 1] == block) abort();
    c->small[size][count] = block;
    c->count[size] = (uint8_t)(count + 1);
    c->room -= FIRST_SIZE + STEP * size;
}

static void *resize(void *block, size_t count, const char *file, int line) {
    if (block == NULL) return take(count, file, line);
    if (count != 0) return realloc(block, count);
    give(block, file, line);
    return NULL;
}

// MARK: Set-up

#ifndef CTLSM_SANITIZED
// Before `main`, as OpenSSL takes other functions only before its first block.
__attribute__((constructor)) static void set_up(void) {
    if (!ctlsm_is_wanted(secure_getenv("SOCKETS_TLS_MEMORY"))) return;
    if (pthread_key_create(&ending, end_thread) != 0) return;
    is_used = CRYPTO_set_mem_functions(take, resize, give);
}
#endif

int ctlsm_is_wanted(const char *choice) {
    return choice == NULL || strcmp(choice, "malloc") != 0;
}

int ctlsm_is_used(void) { return is_used; }

size_t ctlsm_kept_bytes(void) { return own != NULL ? CTLSM_KEPT_BYTES - own->room : 0; }

size_t ctlsm_kept_bytes_of_all(void) {
    size_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (cache *c = all; c != NULL; c = c->next) {
        bytes += CTLSM_KEPT_BYTES - __atomic_load_n(&c->room, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&lock);
    return bytes;
}
