// The key that signs elsewhere, as OpenSSL sees it: a provider whose keys are public ones that say they
// have a private part, and whose sign operation asks.
//
// It lives in a library context of its own, so nothing that is looked up anywhere else ever meets it.
// OpenSSL first tries to take a key over into its own provider: `export` refuses whatever includes the
// private part, and so it comes back here.
#include "CExternalKey.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_EC, KIND_RSA, KIND_RSA_PSS, KIND_ED25519, KIND_ED448, KINDS };

static const char *const kind_names[KINDS] = {"EC", "RSA", "RSA-PSS", "ED25519", "ED448"};

// A key of the provider.
typedef struct key {
    EVP_PKEY *public_key;
    enum kind kind;
    void *owner;
    void (*release)(void *);
} key;

// How `cek_key_new` hands a key over; nothing that is read from anywhere has a parameter of this name.
#define KEY_PARAMETER "external-key"
typedef struct handover {
    key key;
    int *is_taken;
} handover;

// MARK: Keys

static void *key_new(void *provider) {
    (void)provider;
    return calloc(1, sizeof(key));
}

static void key_free(void *data) {
    key *k = data;
    if (!k) return;
    EVP_PKEY_free(k->public_key);
    if (k->release) k->release(k->owner);
    free(k);
}

static int key_has(const void *data, int selection) {
    (void)selection;
    return data != NULL;
}

static int key_match(const void *data, const void *other, int selection) {
    (void)selection;
    const key *a = data, *b = other;
    return a->public_key && b->public_key && EVP_PKEY_eq(a->public_key, b->public_key) == 1;
}

static int key_import(void *data, int selection, const OSSL_PARAM params[]) {
    (void)selection;
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, KEY_PARAMETER);
    if (!param || param->data_type != OSSL_PARAM_OCTET_STRING || param->data_size != sizeof(handover))
        return 0;
    const handover *given = param->data;
    *(key *)data = given->key;
    *given->is_taken = 1;
    return 1;
}

static const OSSL_PARAM *key_import_types(int selection) {
    static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string(KEY_PARAMETER, NULL, 0), OSSL_PARAM_END};
    (void)selection;
    return types;
}

static int key_export(void *data, int selection, OSSL_CALLBACK *callback, void *argument) {
    key *k = data;
    if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) return 0;
    return EVP_PKEY_export(k->public_key, selection, callback, argument);
}

static const OSSL_PARAM *key_export_types(int selection) {
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };
    return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static int key_get_params(void *data, OSSL_PARAM params[]) {
    return EVP_PKEY_get_params(((key *)data)->public_key, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider) {
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)provider;
    return types;
}

static const char *ec_operation(int operation) { return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL; }
static const char *rsa_operation(int operation) { return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL; }

#define FUNCTION(number, function) {number, (void (*)(void))(function)}
#define KEY_FUNCTIONS                                                                               \
    FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),           \
        FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),     \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                             \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),                                 \
        FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                                             \
        FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),                                 \
        FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                     \
        FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params)

static const OSSL_DISPATCH edwards_key[] = {KEY_FUNCTIONS, {0, NULL}};
static const OSSL_DISPATCH ec_key[] = {
    KEY_FUNCTIONS, FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation), {0, NULL}};
static const OSSL_DISPATCH rsa_key[] = {
    KEY_FUNCTIONS, FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, rsa_operation), {0, NULL}};

// MARK: Signatures

// One signature that is asked for.
typedef struct signing {
    const key *key;
    int hash; // RFC 5246 §7.4.1.4.1; 0 for none
    int is_pss;
} signing;

static void *signing_new(void *provider, const char *properties) {
    (void)provider, (void)properties;
    return calloc(1, sizeof(signing));
}

static void signing_free(void *context) { free(context); }

static int hash_number(const char *name) {
    static const struct { const char *name; int number; } hashes[] = {
        {"SHA1", 2}, {"SHA2-224", 3}, {"SHA224", 3}, {"SHA2-256", 4}, {"SHA256", 4},
        {"SHA2-384", 5}, {"SHA384", 5}, {"SHA2-512", 6}, {"SHA512", 6},
    };
    for (size_t i = 0; name && i < sizeof hashes / sizeof *hashes; i++)
        if (OPENSSL_strcasecmp(name, hashes[i].name) == 0) return hashes[i].number;
    return 0;
}

static int signing_set_params(void *context, const OSSL_PARAM params[]) {
    signing *s = context;
    const OSSL_PARAM *padding = params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    if (!padding) return 1;
    int number = 0;
    const char *name = NULL;
    if (OSSL_PARAM_get_int(padding, &number)) s->is_pss = number == RSA_PKCS1_PSS_PADDING;
    else if (OSSL_PARAM_get_utf8_string_ptr(padding, &name) && name)
        s->is_pss = strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    return 1;
}

static const OSSL_PARAM *signing_settable_params(void *context, void *provider) {
    // The salt has the length of the hash, and its mask function that hash: TLS has no other
    // (RFC 8446 §4.2.3).
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context, (void)provider;
    return types;
}

static int signing_begin(void *context, const char *hash, void *data, const OSSL_PARAM params[]) {
    signing *s = context;
    s->key = data;
    s->hash = hash_number(hash);
    s->is_pss = s->key->kind == KIND_RSA_PSS;
    return signing_set_params(context, params);
}

static uint16_t scheme(const signing *s) {
    switch (s->key->kind) {
    case KIND_EC: return (uint16_t)(s->hash << 8 | 3);
    case KIND_RSA: return (uint16_t)(s->is_pss ? 0x0800 + s->hash : s->hash << 8 | 1);
    case KIND_RSA_PSS: return (uint16_t)(0x0805 + s->hash);
    case KIND_ED25519: return 0x0807;
    case KIND_ED448: return 0x0808;
    default: return 0;
    }
}

static int signing_end(void *context, unsigned char *signature, size_t *count, size_t room,
                       const unsigned char *message, size_t message_count) {
    const signing *s = context;
    if (!s->key) return 0;
    int is_edwards = s->key->kind == KIND_ED25519 || s->key->kind == KIND_ED448;
    if (s->hash == 0 && !is_edwards) return 0;
    int most = EVP_PKEY_get_size(s->key->public_key);
    if (most <= 0) return 0;
    if (!signature) {
        *count = (size_t)most;
        return 1;
    }
    *count = room;
    cek_request request = {message, message_count, scheme(s), s->key->owner};
    return cek_sign(&request, signature, count);
}

static const OSSL_DISPATCH signature_functions[] = {
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_begin),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_end),
    FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
    FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
    {0, NULL},
};

// MARK: The provider

#define PROPERTIES "provider=external-key"

// By the names under which libssl knows keys.
static const OSSL_ALGORITHM key_algorithms[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_key, NULL},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_key, NULL},
    {"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", PROPERTIES, rsa_key, NULL},
    {"ED25519:1.3.101.112", PROPERTIES, edwards_key, NULL},
    {"ED448:1.3.101.113", PROPERTIES, edwards_key, NULL},
    {NULL, NULL, NULL, NULL},
};
static const OSSL_ALGORITHM signature_algorithms[] = {
    {"ECDSA", PROPERTIES, signature_functions, NULL},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signature_functions, NULL},
    {"ED25519:1.3.101.112", PROPERTIES, signature_functions, NULL},
    {"ED448:1.3.101.113", PROPERTIES, signature_functions, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *provider_query(void *provider, int operation, int *no_cache) {
    (void)provider;
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT: return key_algorithms;
    case OSSL_OP_SIGNATURE: return signature_algorithms;
    default: return NULL;
    }
}

static const OSSL_DISPATCH provider_functions[] = {
    FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query), {0, NULL}};

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **provider) {
    (void)handle, (void)in;
    static int mark;
    *out = provider_functions;
    *provider = &mark;
    return 1;
}

static OSSL_LIB_CTX *library; // as long as the process: keys may be anywhere
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void make_library(void) {
    OSSL_LIB_CTX *made = OSSL_LIB_CTX_new();
    if (made && OSSL_PROVIDER_add_builtin(made, "external-key", provider_init) == 1
        && OSSL_PROVIDER_load(made, "external-key"))
        library = made;
    else OSSL_LIB_CTX_free(made);
}

static EVP_PKEY *make_key(handover *given) {
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(KEY_PARAMETER, given, sizeof *given),
        OSSL_PARAM_construct_end()};
    EVP_PKEY *made = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(library, kind_names[given->key.kind], NULL);
    if (context && EVP_PKEY_fromdata_init(context) == 1)
        (void)EVP_PKEY_fromdata(context, &made, EVP_PKEY_KEYPAIR, params);
    EVP_PKEY_CTX_free(context);
    return made;
}

EVP_PKEY *cek_key_new(EVP_PKEY *public_key, void *owner, void (*release)(void *)) {
    pthread_once(&library_once, make_library);
    int is_taken = 0;
    handover given = {{public_key, KINDS, owner, release}, &is_taken};
    for (int kind = 0; kind < KINDS; kind++)
        if (EVP_PKEY_is_a(public_key, kind_names[kind])) given.key.kind = (enum kind)kind;
    EVP_PKEY *made = NULL;
    if (library && given.key.kind != KINDS && EVP_PKEY_up_ref(public_key) == 1) {
        made = make_key(&given);
        if (!is_taken) EVP_PKEY_free(public_key);
    }
    if (!is_taken) release(owner);
    return made;
}
