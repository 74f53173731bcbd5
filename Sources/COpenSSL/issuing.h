// What the certificate kit needs beyond COpenSSL.h: typed stacks, macros of servers that check
// nothing, and constants Swift cannot read. Names begin with `cssl_kit_`, so that this
// header and COpenSSL.h never define the same function.
#ifndef COPENSSL_ISSUING_H
#define COPENSSL_ISSUING_H

#include <openssl/dsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// Certificates that path building may use but does not trust.
static inline STACK_OF(X509) *cssl_kit_x509_stack_new(void) { return sk_X509_new_null(); }
static inline int cssl_kit_x509_stack_push(STACK_OF(X509) *stack, X509 *certificate) {
    return sk_X509_push(stack, certificate);
}
static inline void cssl_kit_x509_stack_free(STACK_OF(X509) *stack) {
    sk_X509_pop_free(stack, X509_free);
}

// A server that presents what it is told to.
static inline void cssl_kit_ctx_set_status_callback(
    SSL_CTX *ctx, int (*callback)(SSL *, void *), void *argument) {
    SSL_CTX_set_tlsext_status_cb(ctx, callback);
    SSL_CTX_set_tlsext_status_arg(ctx, argument);
}
// OpenSSL frees the response, which must come from its own allocator.
static inline int cssl_kit_staple(SSL *ssl, const unsigned char *response, int count) {
    unsigned char *copy = OPENSSL_memdup(response, (size_t)count);
    if (copy == NULL) return 0;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, count);
    return 1;
}

// Flags.
static inline unsigned long cssl_kit_verify_crl(void) { return X509_V_FLAG_CRL_CHECK; }
static inline long cssl_kit_modes(void) {
    return SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_ENABLE_PARTIAL_WRITE
        | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
}
static inline unsigned long cssl_kit_verify_strict(void) { return X509_V_FLAG_X509_STRICT; }
static inline unsigned int cssl_kit_never_check_subject(void) {
    return X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
}

// Memory.
static inline long cssl_kit_bio_contents(BIO *bio, char **contents) {
    return BIO_get_mem_data(bio, contents);
}
static inline void cssl_kit_free(void *pointer) { OPENSSL_free(pointer); }

#endif
