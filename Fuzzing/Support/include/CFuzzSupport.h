// What the fuzz targets need of C: randomness that repeats, and counters libFuzzer looks at.
#ifndef CFUZZSUPPORT_H
#define CFUZZSUPPORT_H

#include <stdint.h>

// Makes OpenSSL take its random numbers from a generator that fuzz_random_restart starts again, so
// that an input does the same twice. For the whole process and for good: 1 when it worked.
int fuzz_random_install(void);
void fuzz_random_restart(uint64_t seed);

// Tells libFuzzer that something of this number happened: a new number counts like new code.
// OpenSSL itself is not instrumented, and its states and reasons show this way.
void fuzz_note(uint32_t number);

#endif
