// The environment, as far as a program with more rights than its user may believe it. It stands in
// a file of its own because the declaration needs _GNU_SOURCE, which no public header may define.
#define _GNU_SOURCE

#include "CTLSTransport.h"

#include <stdlib.h>

const char *ctls_environment(const char *name) { return secure_getenv(name); }
