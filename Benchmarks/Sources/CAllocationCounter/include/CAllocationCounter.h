// Counts the heap allocations of a thread, for tests: linked into a program, it stands in front of
// the C library's allocator. Under AddressSanitizer, which does the same, it counts nothing.
#ifndef CALLOCATIONCOUNTER_H
#define CALLOCATIONCOUNTER_H

#include <stdint.h>

/// Allocations that the current thread has made since it began.
uint64_t cac_thread_allocations(void);

/// Those of them that libssl and libcrypto made. None while OpenSSL is linked in.
uint64_t cac_thread_openssl_allocations(void);

/// 1 where allocations are counted.
int cac_counts(void);

#endif
