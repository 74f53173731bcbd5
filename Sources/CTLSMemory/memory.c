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

// glibc's blocks on 64-bit machines: a multiple of 16 bytes, of which 8 in front belong to malloc. A block's
// size is told by the number of its units.
enum { UNIT = 16, HEAD = 8, UNITS_MIN = 2, SIZES = 66, SMALL_MAX = UNIT * (SIZES - 1) - HEAD };
enum { LARGE_SIZES = 64 };   // kept at a time
enum { BLOCKS_AT_ONCE = 8 }; // that a list's room grows by

// Small blocks of a size are a list between two marks: nothing at its foot, FULL where its room ends. So
// whoever takes one sees in what it takes that there is none, and whoever gives one in the place behind.
#define FULL ((void *)1)

// What is kept for a thread. Where a block is stands here and not in a block, so that whoever writes
// behind the end of one changes no link.
typedef struct cache {
    void **top[SIZES]; // the block of each size that came last
    size_t room;       // bytes that are promised to no list, and that no large block takes
    size_t hand;       // the large place that makes room next
    // Above SMALL_MAX: sizes that share a place take turns.
    struct large {
        size_t units;
        size_t count;
        void *block[CTLSM_LARGE_BLOCKS];
    } large[LARGE_SIZES];
    struct cache *next; // of another thread
    void *small[SIZES][CTLSM_BLOCKS_OF_SIZE + 2];
} cache;

// A list that neither has a block nor room for one, and a thread that has only these.
static void *no_list[] = {NULL, FULL};
static cache none; // its lists by `set_up`

// Made for a thread's first block: in the thread's own memory it would be 150 KiB of every stack, of which
// most is never used. By the other models of thread-local memory a look at it is a call.
static _Thread_local cache *own __attribute__((tls_model("initial-exec"))) = &none;
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
    for (size_t units = 0; units < SIZES; units++) {
        // What is asked for in fewer units than a block has goes the longer way.
        c->top[units] = units < UNITS_MIN ? no_list : c->small[units];
        c->small[units][1] = FULL;
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
    own = &none;
    pthread_mutex_lock(&lock);
    cache **place = &all;
    while (*place != c) place = &(*place)->next;
    *place = c->next;
    pthread_mutex_unlock(&lock);
    for (size_t units = UNITS_MIN; units < SIZES; units++) {
        while (*c->top[units] != NULL) free(*c->top[units]--);
    }
    for (size_t place = 0; place < LARGE_SIZES; place++) {
        struct large *large = &c->large[place];
        while (large->count > 0) free(large->block[--large->count]);
    }
    free(c);
}

// MARK: glibc's blocks

// In front of a block stands its size, and three marks in the bits below a unit.
// `malloc_usable_size` reads the next block's too, to see whether this one is in use: in a handshake
// these are 700 lines of memory that nobody else needs, 2.6 of 187 microseconds.
static size_t mark(const void *block) { return ((const volatile size_t *)block)[-1]; }
static int is_mapped(size_t mark) { return (mark & 2) != 0; } // by itself, a page or more, with room for fewer
static size_t units(const void *block) { return mark(block) / UNIT; }
static size_t units_for(size_t count) { return (count + HEAD + UNIT - 1) / UNIT; }
static size_t bytes(size_t units) { return units * UNIT - HEAD; }

#ifndef CTLSM_SANITIZED
// Whether malloc's blocks are like that. Other allocators differ in the first size already, so that
// nothing is read in front of theirs.
static int is_malloc_known(void) {
    static const size_t counts[] = {1, 24, 25, 1000, 17000};
    int is_known = 1;
    for (size_t i = 0; i < sizeof counts / sizeof *counts && is_known; i++) {
        void *block = malloc(counts[i]);
        if (block == NULL) return 0;
        size_t usable = malloc_usable_size(block);
        is_known = usable >= counts[i] && usable < counts[i] + UNITS_MIN * UNIT + UNIT - HEAD
            && usable >= UNITS_MIN * UNIT - HEAD && (usable + HEAD) % UNIT == 0 && !is_mapped(mark(block))
            && bytes(units(block)) == usable;
        free(block);
    }
    return is_known;
}
#endif

// MARK: Large blocks

// A size has a place, and the next one where that is taken: a connection has some eight sizes of these.
static struct large *place(cache *c, size_t units) { return &c->large[units % LARGE_SIZES]; }

static void *take_large(cache *c, size_t count) {
    size_t wanted = units_for(count);
    // malloc gives a unit more where nothing else could be done with it: these begin a place later.
    for (size_t step = 0; step < 3; step++) {
        struct large *large = place(c, wanted + step);
        if (large->count == 0 || large->units - wanted > 1) continue;
        c->room += bytes(large->units);
        return large->block[--large->count];
    }
    return malloc(count);
}

static void drop_one(cache *c, struct large *large) {
    c->room += bytes(large->units);
    free(large->block[--large->count]);
}

// Where a block of this size can be kept, for which others may have to go; NULL for nowhere.
__attribute__((noinline)) static struct large *make_place(cache *c, size_t units) {
    if (bytes(units) > CTLSM_BLOCK_BYTES) return NULL;
    struct large *large = place(c, units);
    if (large->count > 0 && large->units != units) large = place(c, units + 1);
    // What is there of another size may have served set-up alone: it makes room, and so do the others in
    // their turn.
    if (large->count > 0 && large->units != units) drop_one(c, large);
    if (large->count == CTLSM_LARGE_BLOCKS) return NULL;
    for (size_t i = 0; i < LARGE_SIZES && bytes(units) > c->room; i++) {
        struct large *other = &c->large[c->hand++ % LARGE_SIZES];
        if (other->count > 0 && other != large) drop_one(c, other);
    }
    if (large->count == 0) large->units = units;
    return bytes(units) > c->room || large->units != units ? NULL : large;
}

static void give_large(cache *c, void *block) {
    size_t size = units(block);
    struct large *large = place(c, size);
    int is_usual = large->units == size && large->count < CTLSM_LARGE_BLOCKS;
    if (!is_usual || bytes(size) > c->room) large = is_mapped(mark(block)) ? NULL : make_place(c, size);
    if (large == NULL) return free(block);
    if (large->count > 0 && large->block[large->count - 1] == block) abort();
    large->block[large->count++] = block;
    c->room -= bytes(size);
}

// MARK: What OpenSSL calls

// What is seldom the case is a call at the end of these, so that they save no registers.

__attribute__((noinline)) static void *take_otherwise(size_t count);

static void *take(size_t count, const char *file, int line) {
    (void)file, (void)line;
    size_t units = units_for(count); // a few where that is too much to be counted, of which there are none
    if (units >= SIZES) return take_otherwise(count);
    cache *c = own;
    void **top = c->top[units], *block = *top;
    if (block == NULL) return take_otherwise(count);
    c->top[units] = top - 1;
    return block;
}

static void *take_otherwise(size_t count) {
    if (count == 0) return NULL; // OpenSSL means nothing by it.
    if (count <= HEAD) return take(HEAD + 1, NULL, 0);
    return count <= SMALL_MAX || count > CTLSM_BLOCK_BYTES ? malloc(count) : take_large(own, count);
}

static void give(void *block, const char *file, int line);

// A list whose room has ended gets more while there is some.
__attribute__((noinline)) static void give_to_full(cache *c, void *block) {
    size_t size = units(block), more = BLOCKS_AT_ONCE * bytes(size);
    void **top = c->top[size], **end = c->small[size] + CTLSM_BLOCKS_OF_SIZE;
    // As malloc does: what comes back twice would be handed out twice.
    if (*top == block) abort();
    if (top == end || more > c->room) return free(block);
    c->room -= more;
    top[1 + BLOCKS_AT_ONCE] = FULL;
    top[1] = block;
    c->top[size] = top + 1;
}

__attribute__((noinline)) static void give_otherwise(void *block) {
    cache *c = own;
    if (c == &none) {
        if (begin_thread() != NULL) return give(block, NULL, 0);
        free(block);
    } else if (units(block) < SIZES) {
        give_to_full(c, block);
    } else {
        give_large(c, block);
    }
}

static void give(void *block, const char *file, int line) {
    (void)file, (void)line;
    if (block == NULL) return;
    cache *c = own;
    size_t size = units(block);
    if (size >= SIZES) return give_otherwise(block);
    void **top = c->top[size];
    if (top[1] == FULL || top[0] == block) return give_otherwise(block);
    top[1] = block;
    c->top[size] = top + 1;
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
    for (size_t units = 0; units < SIZES; units++) none.top[units] = no_list;
    is_used = CRYPTO_set_mem_functions(take, resize, give);
}
#endif

int ctlsm_is_wanted(const char *choice) {
    return choice == NULL || strcmp(choice, "malloc") != 0;
}

int ctlsm_is_used(void) { return is_used; }

// A list's top may move meanwhile, where it is another thread's.
static size_t kept(cache *c) {
    size_t count = 0;
    for (size_t units = UNITS_MIN; units < SIZES; units++) {
        void **top = __atomic_load_n(&c->top[units], __ATOMIC_RELAXED);
        count += (size_t)(top - c->small[units]) * bytes(units);
    }
    for (size_t i = 0; i < LARGE_SIZES; i++) {
        struct large *large = &c->large[i];
        size_t blocks = __atomic_load_n(&large->count, __ATOMIC_RELAXED);
        if (blocks > 0) count += blocks * bytes(__atomic_load_n(&large->units, __ATOMIC_RELAXED));
    }
    return count;
}

size_t ctlsm_kept_bytes(void) { return own != &none ? kept(own) : 0; }

size_t ctlsm_kept_bytes_of_all(void) {
    size_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (cache *c = all; c != NULL; c = c->next) bytes += kept(c);
    pthread_mutex_unlock(&lock);
    return bytes;
}

size_t ctlsm_list_bytes_of_all(void) {
    size_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (cache *c = all; c != NULL; c = c->next) bytes += sizeof *c;
    pthread_mutex_unlock(&lock);
    return bytes;
}
