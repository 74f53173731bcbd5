// Stands in front of glibc's allocator by defining its functions; glibc keeps its own under
// `__libc_` names.
#include "CAllocationCounter.h"

#include <errno.h>
#include <stddef.h>

static _Thread_local uint64_t allocations;

uint64_t cac_thread_allocations(void) { return allocations; }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
int cac_counts(void) { return 0; }
#else
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

int cac_counts(void) { return 1; }

void *malloc(size_t count) {
    allocations++;
    return __libc_malloc(count);
}

void *calloc(size_t number, size_t size) {
    allocations++;
    return __libc_calloc(number, size);
}

void *realloc(void *pointer, size_t count) {
    allocations++;
    return __libc_realloc(pointer, count);
}

void *memalign(size_t alignment, size_t count) {
    allocations++;
    return __libc_memalign(alignment, count);
}

void *aligned_alloc(size_t alignment, size_t count) { return memalign(alignment, count); }

int posix_memalign(void **result, size_t alignment, size_t count) {
    void *memory = memalign(alignment, count);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}
#endif
