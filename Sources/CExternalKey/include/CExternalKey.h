// Private keys that are not here: a handshake that needs a signature stops, says what is to be signed,
// and goes on with the answer.
//
// Rules
// - libssl asks for a signature in the middle of a call and has no way to be asked again, so
//   `SSL_do_handshake` runs on a stack of its own, which is left behind where the signature is asked
//   for and entered again with the answer. Nothing but C of OpenSSL and of this target is on it then.
// - A stack has a page below it that nobody may touch: too deep a call ends the process, and writes
//   over nothing. Stacks are taken for one step and given back behind it, unless it waits.
// - Steps of one handshake come one at a time, from any thread.
// - The key itself is a public key with a sign operation that asks: a provider in a library context of
//   its own, which nothing else is ever looked up in.
#ifndef CEXTERNALKEY_H
#define CEXTERNALKEY_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

/// A handshake whose private key is elsewhere.
typedef struct cek_handshake cek_handshake;

/// What is to be signed; valid until the next step.
typedef struct cek_request {
    const uint8_t *message;
    size_t count;
    uint16_t scheme; // RFC 8446 §4.2.3
    void *owner;     // of the key
} cek_request;

/// What a step came to, beside the results of SSL_do_handshake: 1, 0, and -1.
enum { CEK_WAITS = 2, CEK_NO_MEMORY = 3 };

/// Makes the place of a handshake; NULL when out of memory.
cek_handshake *cek_handshake_new(void);

/// Ends the handshake, which fails where it waits, and frees its place. Before SSL_free.
void cek_handshake_free(cek_handshake *handshake);

/// SSL_do_handshake, or the rest of it where it waited for a signature.
int cek_handshake_step(cek_handshake *handshake, SSL *ssl);

/// What the last step waits for; NULL when it does not wait.
const cek_request *cek_handshake_request(const cek_handshake *handshake);

/// Gives the signature with which the next step goes on; none, or none that fits, lets it fail.
///
/// Returns 0 when out of memory: then too it fails.
int cek_handshake_answer(cek_handshake *handshake, const uint8_t *signature, size_t count);

/// The most bytes of its stack that a step has used so far, in all handshakes.
size_t cek_stack_used(void);

/// Makes a key that signs elsewhere of a public one: EC, RSA, RSA-PSS, Ed25519 or Ed448, NULL for
/// another kind or when out of memory. `release` is called with the owner when the key goes, and when
/// there is none.
EVP_PKEY *cek_key_new(EVP_PKEY *public_key, void *owner, void (*release)(void *owner));

/// Asks for a signature, on the stack of a handshake; 0 elsewhere, and when there is none.
///
/// For the key's sign operation.
int cek_sign(const cek_request *request, uint8_t *signature, size_t *count);

#endif
