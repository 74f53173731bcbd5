// The system's OpenSSL 3, as Swift can import it.
//
// Swift imports functions and simple constants, not function-like macros: each macro the package
// uses stands here once as a `static inline cssl_…` function, and each constant Swift cannot read
// (casts, shifts) as an inline getter. No logic lives here.
#ifndef COPENSSL_H
#define COPENSSL_H

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/ocsp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/proverr.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// Contexts.
static inline long cssl_ctx_set_mode(SSL_CTX *ctx, long mode) { return SSL_CTX_set_mode(ctx, mode); }
static inline int cssl_ctx_set_min_proto_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_min_proto_version(ctx, version);
}
static inline int cssl_ctx_set_max_proto_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_max_proto_version(ctx, version);
}
static inline long cssl_ctx_set_session_cache_mode(SSL_CTX *ctx, long mode) {
    return SSL_CTX_set_session_cache_mode(ctx, mode);
}
static inline int cssl_ctx_set1_groups_list(SSL_CTX *ctx, const char *list) {
    return (int)SSL_CTX_set1_groups_list(ctx, list);
}
static inline int cssl_ctx_set1_sigalgs_list(SSL_CTX *ctx, const char *list) {
    return (int)SSL_CTX_set1_sigalgs_list(ctx, list);
}
static inline int cssl_ctx_set1_client_sigalgs_list(SSL_CTX *ctx, const char *list) {
    return (int)SSL_CTX_set1_client_sigalgs_list(ctx, list);
}
static inline int cssl_ctx_add1_chain_cert(SSL_CTX *ctx, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(ctx, certificate);
}
static inline int cssl_ctx_set_dh_auto(SSL_CTX *ctx, int on) {
    return (int)SSL_CTX_set_dh_auto(ctx, on);
}
static inline int cssl_ctx_set0_tmp_dh(SSL_CTX *ctx, EVP_PKEY *parameters) {
    return SSL_CTX_set0_tmp_dh_pkey(ctx, parameters);
}
// The operations of a security callback that speak of finite fields.
static inline int cssl_secop_tmp_dh(void) { return SSL_SECOP_TMP_DH; }
static inline int cssl_secop_is_group(int operation) {
    return operation == SSL_SECOP_CURVE_SUPPORTED || operation == SSL_SECOP_CURVE_SHARED
        || operation == SSL_SECOP_CURVE_CHECK;
}
// How many bytes there are, when `keys` is NULL. 16 bytes of name come first (RFC 5077 §4: key_name).
static inline int cssl_ctx_get_ticket_keys(SSL_CTX *ctx, void *keys, int count) {
    return (int)SSL_CTX_get_tlsext_ticket_keys(ctx, keys, count);
}
static inline int cssl_ctx_set_ticket_keys(SSL_CTX *ctx, void *keys, int count) {
    return (int)SSL_CTX_set_tlsext_ticket_keys(ctx, keys, count);
}
static inline int cssl_ctx_ex_index(void) {
    return SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}
// Sets HMAC with SHA-256 up; the parameters' names are macros.
static inline int cssl_mac_set_sha256_key(EVP_MAC_CTX *mac, unsigned char *key, size_t count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, count),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters);
}
static inline long cssl_ctx_set_max_cert_list(SSL_CTX *ctx, long bytes) {
    return SSL_CTX_set_max_cert_list(ctx, bytes);
}
static inline long cssl_ctx_set_tlsext_servername_callback(
    SSL_CTX *ctx, int (*callback)(SSL *, int *, void *)) {
    return SSL_CTX_set_tlsext_servername_callback(ctx, callback);
}
static inline void cssl_ctx_set_status_callback(SSL_CTX *ctx, int (*callback)(SSL *, void *)) {
    SSL_CTX_set_tlsext_status_cb(ctx, callback);
}
static inline int cssl_ssl_ex_index(void) {
    return SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}
static inline int cssl_ctx_set1_cert_store(SSL_CTX *ctx, X509_STORE *store) {
    SSL_CTX_set1_cert_store(ctx, store);
    return 1;
}
static inline uint64_t cssl_op_no_renegotiation(void) { return SSL_OP_NO_RENEGOTIATION; }
static inline uint64_t cssl_op_no_compression(void) { return SSL_OP_NO_COMPRESSION; }
static inline uint64_t cssl_op_no_ticket(void) { return SSL_OP_NO_TICKET; }
static inline uint64_t cssl_op_cipher_server_preference(void) {
    return SSL_OP_CIPHER_SERVER_PREFERENCE;
}
static inline uint64_t cssl_op_ignore_unexpected_eof(void) { return SSL_OP_IGNORE_UNEXPECTED_EOF; }

// Connections.
static inline long cssl_set_mode(SSL *ssl, long mode) { return SSL_set_mode(ssl, mode); }
static inline long cssl_clear_mode(SSL *ssl, long mode) { return SSL_clear_mode(ssl, mode); }
static inline int cssl_set_tlsext_host_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}
static inline int cssl_set_num_tickets(SSL *ssl, size_t count) {
    return SSL_set_num_tickets(ssl, count);
}
static inline int cssl_get_signature_nid(SSL *ssl, int *nid) {
    return (int)SSL_get_signature_nid(ssl, nid);
}
static inline int cssl_get_peer_signature_nid(SSL *ssl, int *nid) {
    return (int)SSL_get_peer_signature_nid(ssl, nid);
}
static inline int cssl_set_tlsext_status_type(SSL *ssl, int type) {
    return (int)SSL_set_tlsext_status_type(ssl, type);
}
static inline long cssl_get_tlsext_status_ocsp_resp(SSL *ssl, const unsigned char **response) {
    return SSL_get_tlsext_status_ocsp_resp(ssl, response);
}
// OpenSSL frees the response, which must come from its own allocator.
static inline int cssl_set_staple(SSL *ssl, const unsigned char *response, size_t count) {
    unsigned char *copy = OPENSSL_memdup(response, count);
    if (copy == NULL) return 0;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)count);
    return 1;
}
static inline void cssl_ctx_set_status_argument(SSL_CTX *ctx, void *argument) {
    SSL_CTX_set_tlsext_status_arg(ctx, argument);
}
static inline int cssl_get_peer_tmp_key(SSL *ssl, EVP_PKEY **key) {
    return (int)SSL_get_peer_tmp_key(ssl, key);
}
static inline int cssl_get_negotiated_group(SSL *ssl) { return (int)SSL_get_negotiated_group(ssl); }
static inline int cssl_get_shared_group(SSL *ssl, int index) {
    return (int)SSL_get_shared_group(ssl, index);
}

// One connection's versions, narrower than its context's.
static inline int cssl_set_min_proto_version(SSL *ssl, int version) {
    return (int)SSL_set_min_proto_version(ssl, version);
}
static inline int cssl_set_max_proto_version(SSL *ssl, int version) {
    return (int)SSL_set_max_proto_version(ssl, version);
}
// A client's callback that verifies is called again at the next step. On a server it accepts.
static inline void cssl_set_retry_verify(SSL *ssl) { SSL_set_retry_verify(ssl); }
static inline int cssl_add1_chain_cert(SSL *ssl, X509 *certificate) {
    return (int)SSL_add1_chain_cert(ssl, certificate);
}

// Names, strings and keys.
static inline unsigned long cssl_dane_no_ee_namechecks(void) {
    return DANE_FLAG_NO_DANE_EE_NAMECHECKS;
}
static inline const unsigned char *cssl_string_data(const ASN1_STRING *string) {
    return ASN1_STRING_get0_data(string);
}
static inline int cssl_pem_write_x509(BIO *bio, X509 *certificate) {
    return PEM_write_bio_X509(bio, certificate);
}
static inline long cssl_bio_get_mem_data(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }
static inline void *cssl_malloc(size_t count) { return OPENSSL_malloc(count); }
static inline void cssl_free(void *pointer) { OPENSSL_free(pointer); }
static inline void cssl_clear_free(void *pointer, size_t count) { OPENSSL_clear_free(pointer, count); }

// A subject as RFC 2253 writes it, with UTF-8 left readable.
static inline unsigned long cssl_name_print_flags(void) {
    return XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
}
// RFC 9525: no common names, no partial wildcards.
static inline unsigned int cssl_host_check_flags(void) {
    return X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
}

// Errors. `ERR_GET_LIB` and `ERR_GET_REASON` are inline functions already.
static inline int cssl_error_is_system(unsigned long code) { return ERR_SYSTEM_ERROR(code) ? 1 : 0; }

// Stacks: one typed pair of functions each, as the macros expand to casts.
static inline int cssl_x509_stack_count(const STACK_OF(X509) *stack) { return sk_X509_num(stack); }
static inline X509 *cssl_x509_stack_value(const STACK_OF(X509) *stack, int index) {
    return sk_X509_value(stack, index);
}
// A new stack with one certificate, which it shares; NULL when out of memory.
static inline STACK_OF(X509) *cssl_x509_stack_of(X509 *certificate) {
    STACK_OF(X509) *stack = sk_X509_new_null();
    if (stack && sk_X509_push(stack, certificate) > 0) X509_up_ref(certificate);
    return stack;
}
static inline int cssl_general_names_count(const GENERAL_NAMES *names) {
    return sk_GENERAL_NAME_num(names);
}
static inline GENERAL_NAME *cssl_general_names_value(const GENERAL_NAMES *names, int index) {
    return sk_GENERAL_NAME_value(names, index);
}
static inline int cssl_x509_name_stack_count(const STACK_OF(X509_NAME) *stack) {
    return sk_X509_NAME_num(stack);
}
static inline X509_NAME *cssl_x509_name_stack_value(const STACK_OF(X509_NAME) *stack, int index) {
    return sk_X509_NAME_value(stack, index);
}
static inline int cssl_x509_name_stack_push(STACK_OF(X509_NAME) *stack, X509_NAME *name) {
    return sk_X509_NAME_push(stack, name);
}
static inline int cssl_x509_store_count(X509_STORE *store) {
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
}
static inline int cssl_cipher_stack_count(const STACK_OF(SSL_CIPHER) *stack) {
    return sk_SSL_CIPHER_num(stack);
}
static inline const SSL_CIPHER *cssl_cipher_stack_value(const STACK_OF(SSL_CIPHER) *stack, int i) {
    return sk_SSL_CIPHER_value(stack, i);
}
static inline void cssl_cipher_stack_free(STACK_OF(SSL_CIPHER) *stack) { sk_SSL_CIPHER_free(stack); }
static inline STACK_OF(X509_NAME) *cssl_x509_name_stack_new(void) { return sk_X509_NAME_new_null(); }
static inline STACK_OF(X509) *cssl_x509_stack_new(void) { return sk_X509_new_null(); }
static inline int cssl_x509_stack_push(STACK_OF(X509) *stack, X509 *certificate) {
    return sk_X509_push(stack, certificate);
}
// Frees the stack and not what it holds.
static inline void cssl_x509_stack_free(STACK_OF(X509) *stack) { sk_X509_free(stack); }
static inline STACK_OF(X509_CRL) *cssl_crl_stack_new(void) { return sk_X509_CRL_new_null(); }
static inline int cssl_crl_stack_push(STACK_OF(X509_CRL) *stack, X509_CRL *list) {
    return sk_X509_CRL_push(stack, list);
}
// Frees the stack and not what it holds.
static inline void cssl_crl_stack_free(STACK_OF(X509_CRL) *stack) { sk_X509_CRL_free(stack); }
static inline int cssl_revoked_count(STACK_OF(X509_REVOKED) *entries) {
    return sk_X509_REVOKED_num(entries);
}

// The major version of the headers this was compiled against; `OPENSSL_version_major()` is the
// library's that runs.
static inline int cssl_header_version_major(void) { return OPENSSL_VERSION_MAJOR; }
static inline const char *cssl_header_version_text(void) { return OPENSSL_VERSION_TEXT; }

#endif
