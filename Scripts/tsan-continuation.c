// Tells the thread sanitizer about Swift's continuations. Linked into the tests of that gate, nowhere
// else.
//
// Whoever resumes a continuation happens before the task that goes on. The runtime tells the
// sanitizer: its swift_continuation_resume releases the task, and a task that had been suspended
// acquires itself when it runs again. A task that finds itself resumed already, because the other
// thread was faster than its way to sleep, goes on without that: everything it does then looks like
// a race with the one who resumed it. Here such a task acquires itself, too.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

void __tsan_acquire(void *address);
void *swift_task_getCurrent(void);

#define ASYNC __attribute__((swiftasynccall))
#define CONTEXT __attribute__((swift_async_context))

struct continuation;
typedef ASYNC void resume_function(CONTEXT struct continuation *self);

// The beginning of ContinuationAsyncContext, which the compiler fills in and is therefore fixed.
struct continuation {
    void *parent;
    resume_function *resume;
    size_t flags;
    size_t status;
    void *error;  // unused by a continuation that cannot throw, and all of this package are such
};

enum { CAN_THROW = 1 };

static ASYNC void acquire_and_resume(CONTEXT struct continuation *self) {
    __tsan_acquire(swift_task_getCurrent());
    resume_function *next = (resume_function *)self->error;
    __attribute__((musttail)) return next(self);
}

// The continuation comes as an ordinary argument here, and as the context to whom it resumes.
ASYNC void swift_continuation_await(struct continuation *self) {
    static ASYNC void (*original)(struct continuation *self);
    if (original == NULL) original = dlsym(RTLD_NEXT, __func__);
    if ((self->flags & CAN_THROW) == 0) {
        self->error = (void *)self->resume;
        self->resume = acquire_and_resume;
    }
    __attribute__((musttail)) return original(self);
}
