// The buffer BIO: OpenSSL reads ciphertext from one window of memory and appends ciphertext to
// another. Whoever owns the connection points the windows at memory before a call and takes the
// results after it; no byte is copied on the way in or out but by OpenSSL itself.
//
// Rules
// - The windows are valid during one OpenSSL call only; between calls `in_length` is 0 and `out`
//   may be NULL.
// - An empty in window asks OpenSSL to come again (`wants_input`), unless `end_of_input` is set:
//   then it is the end of the peer's stream. A full out window does the same (`wants_output`).
// - Alerts and handshake messages are noted here by the info callback, so the data path costs no
//   call into Swift.
#ifndef CTLSTRANSPORT_H
#define CTLSTRANSPORT_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ctls_transport {
    const uint8_t *in;
    size_t in_offset, in_length;
    uint8_t *out;
    size_t out_length, out_capacity;
    uint64_t bytes_in, bytes_out;
    int last_alert_received, last_alert_sent; // level << 8 | description, or -1
    uint32_t handshake_starts;                // 1 for the handshake, then one a post-handshake message
    uint32_t flights_in, flights_out;
    uint32_t tickets; // received in all; the first CTLS_TICKETS are kept below
    struct ctls_ticket {
        uint32_t size, lifetime, early_data; // bytes, seconds, bytes
    } ticket[4];
    uint8_t end_of_input, wants_input, wants_output, direction, certificate_requested;
} ctls_transport;

enum { CTLS_TICKETS = 4 };

/// Makes the transport and gives both directions of `ssl` to it. NULL when out of memory. The
/// transport lives as long as `ssl`.
ctls_transport *ctls_transport_attach(SSL *ssl);

/// The transport that was attached to `ssl`.
ctls_transport *ctls_transport_of(const SSL *ssl);

/// Has clients of `context` note the tickets they receive. Sessions are not kept.
void ctls_note_tickets(SSL_CTX *context);

#endif
