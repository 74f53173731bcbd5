// Stands in front of glibc's allocator by defining its functions; glibc keeps its own under
// `__libc_` names. Whose an allocation is, the address tells to which the function returns.
#define _GNU_SOURCE
#include "CAllocationCounter.h"

#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

static _Thread_local uint64_t allocations, openssl_allocations;

uint64_t cac_thread_allocations(void) { return allocations; }

uint64_t cac_thread_openssl_allocations(void) { return openssl_allocations; }

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

// The code of libssl and libcrypto.
enum { MOST_RANGES = 8 };
static struct {
    uintptr_t from, to;
} openssl[MOST_RANGES];
static int openssl_ranges;

static int note_library(struct dl_phdr_info *library, size_t size, void *unused) {
    (void)size, (void)unused;
    if (!strstr(library->dlpi_name, "/libssl.so") && !strstr(library->dlpi_name, "/libcrypto.so")) return 0;
    for (int i = 0; i < library->dlpi_phnum && openssl_ranges < MOST_RANGES; i++) {
        const ElfW(Phdr) *part = &library->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        openssl[openssl_ranges].from = library->dlpi_addr + part->p_vaddr;
        openssl[openssl_ranges].to = openssl[openssl_ranges].from + part->p_memsz;
        openssl_ranges++;
    }
    return 0;
}

__attribute__((constructor)) static void find_openssl(void) { dl_iterate_phdr(note_library, NULL); }

static inline void note(void *caller) {
    uintptr_t address = (uintptr_t)caller;
    allocations++;
    for (int i = 0; i < openssl_ranges; i++)
        if (address >= openssl[i].from && address < openssl[i].to) openssl_allocations++;
}

void *malloc(size_t count) {
    note(__builtin_return_address(0));
    return __libc_malloc(count);
}

void *calloc(size_t number, size_t size) {
    note(__builtin_return_address(0));
    return __libc_calloc(number, size);
}

void *realloc(void *pointer, size_t count) {
    note(__builtin_return_address(0));
    return __libc_realloc(pointer, count);
}

void *memalign(size_t alignment, size_t count) {
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, count);
}

void *aligned_alloc(size_t alignment, size_t count) {
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, count);
}

int posix_memalign(void **result, size_t alignment, size_t count) {
    note(__builtin_return_address(0));
    void *memory = __libc_memalign(alignment, count);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}
#endif
