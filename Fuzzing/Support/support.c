// OpenSSL 3 keeps RAND_METHOD, as deprecated; nothing newer replaces the generator so simply.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "CFuzzSupport.h"

#include <openssl/rand.h>

// libFuzzer reads this section beside its own counters; in a test nobody does.
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[8192];

void fuzz_note(uint32_t number) { counters[(number * 2654435761u) >> 19] = 1; }

static uint64_t state = 1;

void fuzz_random_restart(uint64_t seed) { state = seed; }

// SplitMix64: two keys of one input must not be the same, no more is asked.
static int bytes(unsigned char *buffer, int count) {
    for (int index = 0; index < count; index++) {
        uint64_t word = state += 0x9e3779b97f4a7c15u;
        word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
        word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
        buffer[index] = (unsigned char)(word >> 40);
    }
    return 1;
}

static int status(void) { return 1; }

int fuzz_random_install(void) {
    static const RAND_METHOD method = {.bytes = bytes, .pseudorand = bytes, .status = status};
    return RAND_set_rand_method(&method);
}
