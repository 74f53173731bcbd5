// Tells the thread sanitizer about Swift's Mutex. Linked into the tests of that gate, nowhere else.
//
// The fast paths of Synchronization.Mutex are compiled into the program and seen by the sanitizer;
// the slow paths, taken under contention, are in the standard library, which is not instrumented.
// Without this file every contended lock looks like a race on what it protects. Each function here
// stands before the one of the same name in libswiftSynchronization, calls it, and says what it did.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK_SLOW "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SELF __attribute__((swift_context)) void *self

typedef __attribute__((swiftcall)) void lock_slow(uint32_t thread, SELF);
typedef __attribute__((swiftcall)) bool try_lock_slow(SELF);
typedef __attribute__((swiftcall)) void unlock_slow(SELF);

__attribute__((swiftcall)) void sockets_lock_slow(uint32_t thread, SELF) __asm__(LOCK_SLOW);
__attribute__((swiftcall)) bool sockets_try_lock_slow(SELF) __asm__(TRY_LOCK_SLOW);
__attribute__((swiftcall)) void sockets_unlock_slow(SELF) __asm__(UNLOCK_SLOW);

__attribute__((swiftcall)) void sockets_lock_slow(uint32_t thread, SELF) {
    ((lock_slow *)dlsym(RTLD_NEXT, LOCK_SLOW))(thread, self);
    __tsan_acquire(self);
}

__attribute__((swiftcall)) bool sockets_try_lock_slow(SELF) {
    bool locked = ((try_lock_slow *)dlsym(RTLD_NEXT, TRY_LOCK_SLOW))(self);
    if (locked) __tsan_acquire(self);
    return locked;
}

__attribute__((swiftcall)) void sockets_unlock_slow(SELF) {
    __tsan_release(self);
    ((unlock_slow *)dlsym(RTLD_NEXT, UNLOCK_SLOW))(self);
}
