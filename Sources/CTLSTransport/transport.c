// The buffer BIO, and the notes taken for its connection. See CTLSTransport.h for the rules.
#include "CTLSTransport.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

// `direction` counts flights: one starts when the direction of handshake bytes turns.
enum { DIRECTION_NONE, DIRECTION_IN, DIRECTION_OUT };

enum { HEADER = SSL3_RT_HEADER_LENGTH }; // of a record

// Bytes that end with a record if the peer sends full ones, since OpenSSL moves the piece of another about;
// and one more, which tells whether there is more. (With a whole header in hand OpenSSL would ask for the
// rest of that record alone.)
static size_t whole_records(const ctls_transport *t, size_t room) {
    // Of a record that has begun; below 0 within its header.
    int64_t rest = (int64_t)(t->records_end_in - t->bytes_in);
    int64_t full = t->full_record_in, most = (int64_t)room;
    int64_t count = rest + (most - 1 - rest) / full * full + 1;
    return count > 1 && count <= most ? (size_t)count : room;
}

// Bytes from the source; 0 when it gives none.
static size_t take_from_source(ctls_transport *t, char *into, size_t room) {
    if (!t->source) return 0;
    size_t count = whole_records(t, room);
    long n = t->source_result = t->source(t->source_descriptor, into, count);
    t->source_dry = n != (long)count;
    if (n == 0) t->end_of_input = 1;
    size_t given = n > 0 ? (size_t)n : 0;
    t->source_left -= given < t->source_left ? given : t->source_left;
    if (t->source_dry || t->source_left == 0) t->source = NULL;
    t->bytes_in += given;
    return given;
}

static int transport_read(BIO *bio, char *into, size_t count, size_t *taken) {
    ctls_transport *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_length == 0) {
        *taken = take_from_source(t, into, count);
        if (*taken > 0) return 1;
        if (!t->end_of_input) {
            t->wants_input = 1;
            BIO_set_retry_read(bio);
        }
        return 0;
    }
    size_t n = count < t->in_length ? count : t->in_length;
    if (t->client_hello_due) {
        uint64_t left = t->client_hello_limit - (t->bytes_in - t->client_hello_start);
        if (left == 0) {
            t->client_hello_overflow = 1;
            return 0;
        }
        if (n > left) n = (size_t)left;
    }
    memcpy(into, t->in + t->in_offset, n);
    t->in_offset += n;
    t->in_length -= n;
    t->bytes_in += n;
    if (t->direction != DIRECTION_IN && !t->handshake_done) {
        t->direction = DIRECTION_IN;
        t->flights_in++;
    }
    *taken = n;
    return 1;
}

// Bytes that the sink took; with less than all of them it is done.
static size_t give_to_sink(ctls_transport *t, const char *from, size_t count) {
    long n = t->sink(t->sink_descriptor, from, count);
    if (n == (long)count) return count;
    t->sink = NULL;
    t->sink_result = n < 0 ? n : 1;
    return n < 0 ? 0 : (size_t)n;
}

static int transport_write(BIO *bio, const char *from, size_t count, size_t *taken) {
    ctls_transport *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t n = t->sink ? give_to_sink(t, from, count) : 0;
    if (n < count) {
        size_t room = t->out_capacity - t->out_length;
        if (room == 0 && n == 0) {
            t->wants_output = 1;
            BIO_set_retry_write(bio);
            return 0;
        }
        size_t rest = count - n < room ? count - n : room;
        memcpy(t->out + t->out_length, from + n, rest);
        t->out_length += rest;
        n += rest;
    }
    t->bytes_out += n;
    if (t->direction != DIRECTION_OUT && !t->handshake_done) {
        t->direction = DIRECTION_OUT;
        t->flights_out++;
    }
    *taken = n;
    return 1;
}

static __attribute__((noinline)) long transport_state(BIO *bio, int command) {
    ctls_transport *t = BIO_get_data(bio);
    switch (command) {
    // A hello over the limit ends the stream for OpenSSL, which then says so to the peer.
    case BIO_CTRL_EOF: return t->client_hello_overflow || (t->end_of_input && t->in_length == 0);
    case BIO_CTRL_PENDING: return (long)t->in_length;
    case BIO_CTRL_WPENDING: return (long)t->out_length;
    case BIO_CTRL_FLUSH: case BIO_CTRL_DUP: return 1;
    default: return 0;
    }
}

// Called a dozen times a record, nearly always to learn that there is no kernel TLS.
static long transport_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)number, (void)pointer;
    return command > BIO_CTRL_WPENDING ? 0 : transport_state(bio, command);
}

static int transport_create(BIO *bio) {
    ctls_transport *t = OPENSSL_zalloc(sizeof *t);
    if (!t) return 0;
    t->last_alert_received = t->last_alert_sent = -1;
    t->full_record_in = CTLS_FULL_RECORD;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return 1;
}

static int transport_destroy(BIO *bio) {
    OPENSSL_free(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    return 1;
}

static void make_method(void) {
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "swift-sockets transport");
    if (!m) return;
    BIO_meth_set_read_ex(m, transport_read);
    BIO_meth_set_write_ex(m, transport_write);
    BIO_meth_set_ctrl(m, transport_ctrl);
    BIO_meth_set_create(m, transport_create);
    BIO_meth_set_destroy(m, transport_destroy);
    method = m;
}

// A HelloRetryRequest is a ServerHello with this random (RFC 8446 §4.1.3): SHA-256 of
// "HelloRetryRequest".
static const uint8_t retry_random[32] = {
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
    0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
};

// The random stands behind the message header (4 bytes) and the legacy version (2).
static int is_retry_request(const uint8_t *message, size_t count) {
    return count >= 38 && memcmp(message + 6, retry_random, sizeof retry_random) == 0;
}

static void tell(ctls_transport *t, enum ctls_passage what, int alert) {
    if (t->passed) t->passed(t->passed_owner, what, alert);
}

static void note_received(ctls_transport *t, const uint8_t *message, size_t count) {
    t->messages_in++;
    if (message[0] == SSL3_MT_HELLO_REQUEST) return; // a client passes over it; nothing has changed
    if (message[0] == SSL3_MT_SERVER_HELLO && is_retry_request(message, count)) {
        t->hello_retried = 1; // the ServerHello is still due
        return;
    }
    t->last_message_in = message[0];
    switch (message[0]) {
    case SSL3_MT_CLIENT_HELLO: t->client_hello_due = 0; break;
    case SSL3_MT_CERTIFICATE_REQUEST:
        t->certificate_requested = 1;
        t->late_requests_in += t->handshake_done;
        break;
    case SSL3_MT_FINISHED: t->late_finished_in += t->handshake_done; break;
    case SSL3_MT_KEY_UPDATE:
        t->key_updates_in++;
        t->records_in = 0;
        tell(t, CTLS_KEY_UPDATE_RECEIVED, 0);
        break;
    default: break;
    }
}

static void note_sent(ctls_transport *t, const uint8_t *message, size_t count) {
    t->last_message_out = message[0];
    switch (message[0]) {
    case SSL3_MT_SERVER_HELLO:
        if (!is_retry_request(message, count)) break;
        t->hello_retried = t->client_hello_due = 1;
        t->client_hello_start = t->bytes_in;
        break;
    case SSL3_MT_CERTIFICATE_REQUEST: t->certificate_requested = 1; break;
    // An empty list is 7 bytes in TLS 1.2 and 8 in TLS 1.3 (RFC 8446 §4.4.2).
    case SSL3_MT_CERTIFICATE: t->certificate_presented = count > 8; break;
    case CTLS_COMPRESSED_CERTIFICATE: t->certificate_presented = 1; break;
    case SSL3_MT_NEWSESSION_TICKET: tell(t, CTLS_TICKET_SENT, 0); break;
    case SSL3_MT_KEY_UPDATE:
        t->key_updates_out++;
        t->records_out = 0;
        tell(t, CTLS_KEY_UPDATE_SENT, 0);
        break;
    default: break;
    }
}

// OpenSSL calls this for every record header too: a few instructions a record.
static void note(int is_sent, int version, int type, const void *bytes, size_t count, SSL *ssl,
                 void *transport) {
    (void)version, (void)ssl;
    ctls_transport *t = transport;
    const uint8_t *message = bytes;
    if (type == SSL3_RT_HEADER) {
        if (is_sent) t->records_out++;
        else if (count == 5) {
            t->last_record_type = message[0];
            t->records_in++;
            uint32_t length = (uint32_t)message[3] << 8 | message[4];
            t->last_record_in = HEADER + length;
            t->records_end_in += t->last_record_in;
            if (length > SSL3_RT_MAX_PLAIN_LENGTH) t->full_record_in = t->last_record_in;
        }
    } else if (type == SSL3_RT_HANDSHAKE && count >= 4) {
        if (is_sent) note_sent(t, message, count);
        else note_received(t, message, count);
    } else if (type == SSL3_RT_ALERT && count == 2) {
        int alert = message[0] << 8 | message[1];
        if (is_sent) t->last_alert_sent = alert;
        else t->last_alert_received = alert;
        tell(t, is_sent ? CTLS_ALERT_SENT : CTLS_ALERT_RECEIVED, alert);
    }
}

ctls_transport *ctls_transport_attach(SSL *ssl) {
    pthread_once(&method_once, make_method);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio) return NULL;
    SSL_set_bio(ssl, bio, bio);
    SSL_set_msg_callback(ssl, note);
    SSL_set_msg_callback_arg(ssl, BIO_get_data(bio));
    return BIO_get_data(bio);
}

ctls_transport *ctls_transport_of(const SSL *ssl) {
    // The handshake pushes a buffering BIO in front of the write side, never the read side.
    return BIO_get_data(SSL_get_rbio(ssl));
}

static int note_ticket(SSL *ssl, SSL_SESSION *session) {
    ctls_transport *t = ctls_transport_of(ssl);
    if (t->session_came) t->session_came(t->session_owner, session);
    const unsigned char *ticket = NULL;
    size_t size = 0;
    SSL_SESSION_get0_ticket(session, &ticket, &size);
    if (!ticket) return 0;
    if (t->tickets < CTLS_TICKETS) {
        t->ticket[t->tickets].size = (uint32_t)size;
        t->ticket[t->tickets].lifetime = (uint32_t)SSL_SESSION_get_ticket_lifetime_hint(session);
        t->ticket[t->tickets].early_data = SSL_SESSION_get_max_early_data(session);
    }
    tell(t, CTLS_TICKET_RECEIVED, 0);
    t->tickets++;
    return 0; // the session stays OpenSSL's
}

void ctls_note_tickets(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, note_ticket);
}
