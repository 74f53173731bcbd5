#include "CTLSTransport.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

// `direction` counts flights: one starts when the direction of handshake bytes turns.
enum { DIRECTION_NONE, DIRECTION_IN, DIRECTION_OUT };

static int transport_read(BIO *bio, char *into, size_t count, size_t *taken) {
    ctls_transport *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_length == 0) {
        if (!t->end_of_input) {
            t->wants_input = 1;
            BIO_set_retry_read(bio);
        }
        return 0;
    }
    size_t n = count < t->in_length ? count : t->in_length;
    memcpy(into, t->in + t->in_offset, n);
    t->in_offset += n;
    t->in_length -= n;
    t->bytes_in += n;
    if (t->direction != DIRECTION_IN) {
        t->direction = DIRECTION_IN;
        t->flights_in++;
    }
    *taken = n;
    return 1;
}

static int transport_write(BIO *bio, const char *from, size_t count, size_t *taken) {
    ctls_transport *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t room = t->out_capacity - t->out_length;
    if (room == 0) {
        t->wants_output = 1;
        BIO_set_retry_write(bio);
        return 0;
    }
    size_t n = count < room ? count : room;
    memcpy(t->out + t->out_length, from, n);
    t->out_length += n;
    t->bytes_out += n;
    if (t->direction != DIRECTION_OUT) {
        t->direction = DIRECTION_OUT;
        t->flights_out++;
    }
    *taken = n;
    return 1;
}

// Called a dozen times a record, nearly always to learn that there is no kernel TLS.
static long transport_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)number, (void)pointer;
    if (command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP) return 1;
    if (command != BIO_CTRL_EOF && command != BIO_CTRL_PENDING && command != BIO_CTRL_WPENDING) return 0;
    ctls_transport *t = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF) return t->end_of_input && t->in_length == 0;
    return (long)(command == BIO_CTRL_PENDING ? t->in_length : t->out_length);
}

static int transport_create(BIO *bio) {
    ctls_transport *t = OPENSSL_zalloc(sizeof *t);
    if (!t) return 0;
    t->last_alert_received = t->last_alert_sent = -1;
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

static void note(const SSL *ssl, int where, int value) {
    if (where == SSL_CB_CONNECT_LOOP) {
        if (SSL_get_state(ssl) == TLS_ST_CR_CERT_REQ) ctls_transport_of(ssl)->certificate_requested = 1;
    } else if (where == SSL_CB_HANDSHAKE_START) {
        ctls_transport_of(ssl)->handshake_starts++;
    } else if (where & SSL_CB_ALERT) {
        ctls_transport *t = ctls_transport_of(ssl);
        if (where & SSL_CB_READ) t->last_alert_received = value;
        else t->last_alert_sent = value;
    }
}

ctls_transport *ctls_transport_attach(SSL *ssl) {
    pthread_once(&method_once, make_method);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio) return NULL;
    SSL_set_bio(ssl, bio, bio);
    SSL_set_info_callback(ssl, note);
    return BIO_get_data(bio);
}

ctls_transport *ctls_transport_of(const SSL *ssl) {
    // The handshake pushes a buffering BIO in front of the write side, never the read side.
    return BIO_get_data(SSL_get_rbio(ssl));
}

static int note_ticket(SSL *ssl, SSL_SESSION *session) {
    ctls_transport *t = ctls_transport_of(ssl);
    const unsigned char *ticket = NULL;
    size_t size = 0;
    SSL_SESSION_get0_ticket(session, &ticket, &size);
    if (!ticket) return 0;
    if (t->tickets < CTLS_TICKETS) {
        t->ticket[t->tickets].size = (uint32_t)size;
        t->ticket[t->tickets].lifetime = (uint32_t)SSL_SESSION_get_ticket_lifetime_hint(session);
        t->ticket[t->tickets].early_data = SSL_SESSION_get_max_early_data(session);
    }
    t->tickets++;
    return 0; // the session stays OpenSSL's
}

void ctls_note_tickets(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, note_ticket);
}
