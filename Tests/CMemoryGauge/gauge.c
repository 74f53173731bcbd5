#include "CMemoryGauge.h"

#include <malloc.h>

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
int is_sanitized(void) { return 1; }
size_t memory_in_use(void) { return 0; }
#else
int is_sanitized(void) { return 0; }
size_t memory_in_use(void) {
    malloc_trim(0);
    struct mallinfo2 memory = mallinfo2();
    return memory.uordblks + memory.hblkhd;
}
#endif
