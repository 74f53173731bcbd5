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

// glibc's sizes on 64-bit machines: 24 bytes and every 16 more.
enum { FIRST_SIZE = 24, STEP = 16, SIZES = 64, SMALL_MAX = FIRST_SIZE + STEP * (SIZES - 1) };
enum { LARGE_SIZES = 64 }; // kept at a time

// What is kept for a thread. Where a block is stands here and not in a block, so that whoever writes
// behind the end of one changes no link.
typedef struct cache {
    size_t room; // bytes that it may still take
    size_t hand; // the large place that makes room next
    uint8_t count[SIZES];
    // Above SMALL_MAX: sizes that share a place take turns.
    struct large {
        size_t bytes;
        size_t count;
        void *block[CTLSM_LARGE_BLOCKS];
    } large[LARGE_SIZES];
    struct cache *next; // of another thread
    void *small[SIZES][CTLSM_BLOCKS_OF_SIZE];
} cache;

// Made for a thread's first block: in the thread's own memory it would be 26 KiB of every stack.
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
    for (size_t place = 0; place < LARGE_SIZES; place++) {
        struct large *large = &c->large[place];
        while (large->count > 0) free(large->block[--large->count]);
    }
    free(c);
}

// MARK: glibc's blocks

// In front of a block stands its size, eight bytes more than it has room for, and three marks.
// `malloc_usable_size` reads the next block's too, to see whether this one is in use: in a handshake
// these are 700 lines of memory that nobody else needs, 2.6 of 187 microseconds.
static size_t mark(const void *block) { return ((const volatile size_t *)block)[-1]; }
static int is_mapped(size_t mark) { return (mark & 2) != 0; } // by itself, with room for fewer
static size_t room(size_t mark) { return (mark & ~(size_t)7) - sizeof(size_t); }

#ifndef CTLSM_SANITIZED
// Whether malloc's blocks are like that. Other allocators differ in the first size already, so that
// nothing is read in front of theirs.
static int is_malloc_known(void) {
    static const size_t counts[] = {1, FIRST_SIZE, FIRST_SIZE + 1, 1000, 17000};
    int is_known = 1;
    for (size_t i = 0; i < sizeof counts / sizeof *counts && is_known; i++) {
        void *block = malloc(counts[i]);
        if (block == NULL) return 0;
        size_t bytes = malloc_usable_size(block);
        is_known = bytes >= counts[i] && bytes < counts[i] + FIRST_SIZE + STEP && bytes >= FIRST_SIZE
            && bytes % STEP == FIRST_SIZE % STEP && !is_mapped(mark(block)) && room(mark(block)) == bytes;
        free(block);
    }
    return is_known;
}
#endif

// MARK: Large blocks

// A size has a place, and the next one where that is taken: a connection has some eight sizes of these.
static struct large *place(cache *c, size_t bytes, size_t step) {
    return &c->large[(bytes / STEP + step) % LARGE_SIZES];
}

static void *take_large(cache *c, size_t count) {
    size_t bytes = FIRST_SIZE + (count - FIRST_SIZE + STEP - 1) / STEP * STEP;
    // malloc gives 16 bytes more where nothing else could be done with them: these begin a place later.
    for (size_t step = 0; step < 3; step++) {
        struct large *large = place(c, bytes, step);
        if (large->count == 0 || large->bytes - bytes > STEP) continue;
        c->room += large->bytes;
        return large->block[--large->count];
    }
    return malloc(count);
}

static void drop_one(cache *c, struct large *large) {
    c->room += large->bytes;
    free(large->block[--large->count]);
}

static void give_large(cache *c, void *block, size_t bytes) {
    if (bytes > CTLSM_BLOCK_BYTES) return free(block);
    struct large *large = place(c, bytes, 0);
    if (large->count > 0 && large->bytes != bytes) large = place(c, bytes, 1);
    // What is there of another size may have served set-up alone: it makes room, and so do the others in
    // their turn.
    if (large->count > 0 && large->bytes != bytes) drop_one(c, large);
    if (large->count == CTLSM_LARGE_BLOCKS) return free(block);
    for (size_t i = 0; i < LARGE_SIZES && bytes > c->room; i++) {
        struct large *other = &c->large[c->hand++ % LARGE_SIZES];
        if (other->count > 0 && other != large) drop_one(c, other);
    }
    if (large->count == 0) large->bytes = bytes;
    if (bytes > c->room || large->bytes != bytes) return free(block);
    if (large->count > 0 && large->block[large->count - 1] == block) abort();
    large->block[large->count++] = block;
    c->room -= bytes;
}

// MARK: What OpenSSL calls

// What is seldom the case is a call at the end of these, so that they save no registers.

__attribute__((noinline)) static void *take_otherwise(cache *c, size_t count) {
    if (count == 0) return NULL; // OpenSSL means nothing by it.
    return c == NULL || count <= SMALL_MAX ? malloc(count) : take_large(c, count);
}

static void *take(size_t count, const char *file, int line) {
    (void)file, (void)line;
    cache *c = own;
    if (c == NULL || count - 1 >= SMALL_MAX) return take_otherwise(c, count);
    // The size whose blocks all have room for so many bytes.
    size_t size = count <= FIRST_SIZE ? 0 : (count - FIRST_SIZE + STEP - 1) / STEP;
    size_t left = c->count[size];
    if (left == 0) return take_otherwise(c, count);
    c->count[size] = (uint8_t)--left;
    c->room += FIRST_SIZE + STEP * size;
    return c->small[size][left];
}

static void give(void *block, const char *file, int line);

__attribute__((noinline)) static void give_otherwise(void *block) {
    if (own == NULL && begin_thread() != NULL) {
        give(block, NULL, 0);
    } else if (own == NULL || is_mapped(mark(block)) || room(mark(block)) <= SMALL_MAX) {
        free(block);
    } else {
        give_large(own, block, room(mark(block)));
    }
}

static void give(void *block, const char *file, int line) {
    (void)file, (void)line;
    if (block == NULL) return;
    cache *c = own;
    size_t bytes = room(mark(block));
    size_t size = (bytes - FIRST_SIZE) / STEP;
    if (c == NULL || size >= SIZES || bytes > c->room || is_mapped(mark(block))) {
        give_otherwise(block);
        return;
    }
    size_t count = c->count[size];
    if (count == CTLSM_BLOCKS_OF_SIZE) {
        give_otherwise(block);
        return;
    }
    // As malloc does: what comes back twice would be handed out twice.
    if (count > 0 && c->small[size][count - 1] == block) abort();
    c->small[size][count] = block;
    c->count[size] = (uint8_t)(count + 1);
    c->room -= bytes;
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
    if (!ctlsm_is_wanted(secure_getenv("SOCKETS_TLS_MEMORY")) || !is_malloc_known()) return;
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
