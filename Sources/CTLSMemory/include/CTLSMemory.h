// OpenSSL's memory: a block that it gives back is kept for its next request on the same thread.
//
// A resumed handshake asks for 710 blocks and gives them back; glibc keeps seven of a size, and
// none above 1 KiB, so most of the rest are merged with their neighbours and cut out again, and the
// record buffers (17 KiB) at the end of the heap go back to the kernel and come as page faults.
// Without that handshakes take 7 to 9 % less time. The limits below are above what sixteen handshakes at
// once hold, 900 KiB and 265 blocks of one size: a turn of the loop begins as many.
//
// Rules
// - Every block is one of malloc's, so it may be freed by anybody, and OpenSSL's may be freed before
//   and after this. Nothing is written into it: what is kept stands in a list outside.
// - At most CTLSM_KEPT_BYTES are kept for a thread; they go back to malloc when it ends.
// - A block that is given back twice in a row ends the process, as malloc would.
// - It is set up before `main` (`CRYPTO_set_mem_functions`), and is not used
//   - where OpenSSL has already allocated, or the program sets functions of its own in `main`;
//   - where malloc is not glibc's, whose sizes it reads;
//   - under a sanitizer, which has to see every block;
//   - with SOCKETS_TLS_MEMORY=malloc in the environment, for tools that have to see them and for
//     allocators that are better at it.
#ifndef CTLSMEMORY_H
#define CTLSMEMORY_H

#include <stddef.h>

enum {
    CTLSM_KEPT_BYTES = 1536 * 1024, ///< The most that is kept for a thread.
    CTLSM_BLOCK_BYTES = 24 * 1024, ///< The largest block that is kept.
    CTLSM_BLOCKS_OF_SIZE = 256,    ///< The most small blocks of one size that are kept.
    CTLSM_LARGE_BLOCKS = 32,       ///< The most blocks of one size above 1 KiB that are kept.
};

/// Whether OpenSSL's memory comes from here.
int ctlsm_is_used(void);

/// What a value of SOCKETS_TLS_MEMORY asks for; NULL when there is none.
int ctlsm_is_wanted(const char *choice);

/// What is kept for the calling thread, in bytes.
size_t ctlsm_kept_bytes(void);

/// What is kept for all threads, in bytes; exact while they rest.
size_t ctlsm_kept_bytes_of_all(void);

/// What the lists of that take for all threads, in bytes; most of their pages are never touched.
size_t ctlsm_list_bytes_of_all(void);

#endif
