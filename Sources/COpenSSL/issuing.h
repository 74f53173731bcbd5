// What the certificate kit needs beyond COpenSSL.h: the typed stack of certificates that path
// building takes, and constants Swift cannot read. Names begin with `cssl_kit_`, so that this
// header and COpenSSL.h never define the same function.
#ifndef COPENSSL_ISSUING_H
#define COPENSSL_ISSUING_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
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

// Flags.
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
