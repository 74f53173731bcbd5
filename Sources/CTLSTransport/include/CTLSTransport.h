// The buffer BIO: OpenSSL reads ciphertext from one window of memory and appends ciphertext to
// another. Whoever owns the connection points the windows at memory before a call and takes the
// results after it; no byte is copied on the way in or out but by OpenSSL itself.
//
// Rules
// - The windows are valid during one OpenSSL call only; between calls `in_length` is 0 and `out`
//   may be NULL.
// - An empty in window asks OpenSSL to come again (`wants_input`), unless `end_of_input` is set:
//   then it is the end of the peer's stream. A full out window does the same (`wants_output`).
// - Output may be given to a sink first, which saves the copy; what that does not take goes into the
//   window.
// - Input may come from a source instead of the window, straight into OpenSSL's buffer, a record a call
//   where the peer sends full ones.
// - Alerts and handshake messages are noted here by OpenSSL's message callback, so the data path
//   costs no call into Swift.
// - While a ClientHello is due, no more than `client_hello_limit` bytes are given out; the attempt
//   to read one more sets `client_hello_overflow` and ends the stream, which OpenSSL answers with an
//   alert, decode_error.
#ifndef CTLSTRANSPORT_H
#define CTLSTRANSPORT_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

/// Takes ciphertext straight from OpenSSL's own buffer: bytes taken, or a negative errno.
typedef long (*ctls_sink)(int descriptor, const void *bytes, size_t count);

/// Puts ciphertext straight into OpenSSL's own buffer: bytes, 0 at the end, or a negative errno.
typedef long (*ctls_source)(int descriptor, void *bytes, size_t count);

/// What is told to `passed`.
enum ctls_passage {
    CTLS_ALERT_SENT,
    CTLS_ALERT_RECEIVED,
    CTLS_TICKET_SENT,
    CTLS_TICKET_RECEIVED,
    CTLS_KEY_UPDATE_SENT,
    CTLS_KEY_UPDATE_RECEIVED,
};

typedef struct ctls_transport {
    const uint8_t *in;
    size_t in_offset, in_length;
    uint8_t *out;
    size_t out_length, out_capacity;
    ctls_sink sink; // NULL without one, and once it has not taken everything
    int sink_descriptor;
    long sink_result; // 0: took everything; 1: not everything; otherwise its negative errno
    ctls_source source; // NULL without one, and once it has no more
    int source_descriptor;
    size_t source_left;  // bytes that it may still be asked for
    long source_result;  // of the last call: bytes, 0 at the end, or its negative errno
    uint8_t source_dry;  // it gave fewer bytes than it was asked for
    uint64_t bytes_in, bytes_out;
    uint64_t client_hello_limit, client_hello_start; // bytes; `bytes_in` when the hello became due
    int last_alert_received, last_alert_sent;        // level << 8 | description, or -1
    uint32_t messages_in;                            // handshake messages received whole
    uint32_t flights_in, flights_out;                // of the handshake
    uint32_t tickets; // received in all; the first CTLS_TICKETS are kept below
    struct ctls_ticket {
        uint32_t size, lifetime, early_data; // bytes, seconds, bytes
    } ticket[4];
    uint64_t records_in, records_out; // under the present keys, once the owner has set them to 0
    uint64_t records_max;             // the most of each; the owner's to look at
    uint64_t records_end_in;          // `bytes_in` at the end of the last record whose header was read
    uint32_t last_record_in;          // its bytes
    uint32_t full_record_in;          // of the last one with a body over 16 KiB
    uint32_t key_updates_in, key_updates_out;
    uint32_t late_requests_in, late_finished_in; // CertificateRequests, Finished behind the handshake
    // Told of every session that the server gives; NULL when nobody asks for them.
    void (*session_came)(void *owner, SSL_SESSION *session);
    void *session_owner;
    // Told of alerts, tickets and key updates as they pass; NULL when nobody asks. `alert` is level << 8
    // | description, and 0 for the others.
    void (*passed)(void *owner, enum ctls_passage what, int alert);
    void *passed_owner;
    uint8_t end_of_input, wants_input, wants_output, direction;
    uint8_t last_record_type;      // of the last record header received (RFC 8446 §5.1)
    uint8_t last_message_in;       // type of the last message received whole (RFC 8446 §4); a
                                   // HelloRetryRequest does not count
    uint8_t last_message_out;      // type of the last message sent whole
    uint8_t handshake_done;        // set by the owner: flights are counted no more
    uint8_t client_hello_due;      // set by a server's owner, then by HelloRetryRequests
    uint8_t client_hello_overflow; // the hello is over the limit
    uint8_t hello_retried;         // a HelloRetryRequest was sent or received
    uint8_t certificate_requested; // a CertificateRequest was sent or received
    uint8_t certificate_presented; // a Certificate that is not empty was sent
} ctls_transport;

enum { CTLS_TICKETS = 4 };

// `full_record_in` before the first: 16 KiB of data in TLS 1.3 without padding (RFC 8446 §5.2), with the
// header, the type and the tag.
enum { CTLS_FULL_RECORD = (16 << 10) + 5 + 1 + 16 };

// A message that newer libraries send by themselves and 3.0's headers do not name (RFC 8879 §4).
enum { CTLS_COMPRESSED_CERTIFICATE = 25 };

/// Makes the transport and gives both directions of `ssl` to it. NULL when out of memory. The
/// transport lives as long as `ssl`.
ctls_transport *ctls_transport_attach(SSL *ssl);

/// The transport that was attached to `ssl`.
ctls_transport *ctls_transport_of(const SSL *ssl);

/// The value of an environment variable; NULL without one, and in a program that runs with more
/// rights than its user (`secure_getenv`).
const char *ctls_environment(const char *name);

/// Has clients of `context` note the tickets they receive. Sessions are not kept.
void ctls_note_tickets(SSL_CTX *context);

#endif
