// What tests ask of the allocator and the compiler, and Swift's Glibc module does not have.
#ifndef CMEMORYGAUGE_H
#define CMEMORYGAUGE_H

#include <stddef.h>

// Bytes that were allocated and not freed, in all arenas; what is only kept goes back before.
size_t memory_in_use(void);

// Whether a sanitizer is compiled in: everything takes several times as long then, and the
// allocator is not the system's, so that the function above says nothing.
int is_sanitized(void);

#endif
