// The peer of an engine under test: plain OpenSSL over memory, since it may do what the engine never
// does (KeyUpdates, tickets at any time, renegotiation).

import COpenSSL
import TLSEngine
import TLSTestKit

/// An `SSL_CTX` that lives as long as the process.
@safe
struct PeerContext {
    fileprivate let pointer: OpaquePointer

    /// Makes a context that presents certificates in DER, leaf first, with the leaf's key in PKCS #8;
    /// nil when they are none, or do not belong together.
    init?(_ role: TLSRole, _ versions: ClosedRange<ProtocolVersion>, chain: [[UInt8]], key: [UInt8])
    {
        let method = unsafe role == .client ? TLS_client_method() : TLS_server_method()
        guard let context = unsafe SSL_CTX_new(method) else { return nil }
        unsafe pointer = context
        unsafe SSL_CTX_set_security_level(context, 0)
        _ = unsafe cssl_ctx_set_min_proto_version(context, CInt(versions.lowerBound.rawValue))
        _ = unsafe cssl_ctx_set_max_proto_version(context, CInt(versions.upperBound.rawValue))
        guard unsafe use(chain, key, context) else {
            unsafe SSL_CTX_free(context)
            ERR_clear_error()
            return nil
        }
    }

    func set(groups: String) { unsafe cssl_ctx_set1_groups_list(pointer, groups) }

    func set(alpn wire: [UInt8]) {
        unsafe SSL_CTX_set_alpn_protos(pointer, wire, UInt32(wire.count))
    }

    /// Gives back what was for one input only.
    func free() { unsafe SSL_CTX_free(pointer) }
}

private func use(_ chain: [[UInt8]], _ key: [UInt8], _ context: OpaquePointer) -> Bool {
    for (place, der) in chain.enumerated() {
        let x509 = unsafe der.withUnsafeBufferPointer {
            var cursor = $0.baseAddress
            return unsafe d2i_X509(nil, &cursor, $0.count)
        }
        guard let x509 = unsafe x509 else { return false }
        defer { unsafe X509_free(x509) }
        let code =
            unsafe place == 0
            ? SSL_CTX_use_certificate(context, x509) : cssl_ctx_add1_chain_cert(context, x509)
        guard code == 1 else { return false }
    }
    guard !chain.isEmpty else { return true }
    let privateKey = unsafe key.withUnsafeBufferPointer {
        var cursor = $0.baseAddress
        return unsafe d2i_AutoPrivateKey(nil, &cursor, $0.count)
    }
    guard let privateKey = unsafe privateKey else { return false }
    defer { unsafe EVP_PKEY_free(privateKey) }
    return unsafe SSL_CTX_use_PrivateKey(context, privateKey) == 1
}

/// One connection of plain OpenSSL.
@safe
final class FuzzPeer {
    // Owns both BIOs; freed with the peer.
    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    /// Plaintext it has sent.
    private(set) var sent: [UInt8] = []
    private(set) var received: [UInt8] = []
    private(set) var isReady = false
    private(set) var hasClosed = false

    init?(_ role: TLSRole, _ context: PeerContext) {
        guard let ssl = unsafe SSL_new(context.pointer), let input = unsafe BIO_new(BIO_s_mem()),
            let output = unsafe BIO_new(BIO_s_mem())
        else { return nil }
        unsafe SSL_set_bio(ssl, input, output)  // takes both over
        unsafe (self.ssl, self.input, self.output) = (ssl, input, output)
        if role == .client {
            unsafe SSL_set_connect_state(ssl)
            _ = unsafe cssl_set_tlsext_host_name(ssl, "localhost")
        } else {
            unsafe SSL_set_accept_state(ssl)
        }
    }

    deinit { unsafe SSL_free(ssl) }

    /// Takes ciphertext, goes on, and gives what is to be sent.
    func step(_ ciphertext: [UInt8] = []) -> [UInt8] {
        if !ciphertext.isEmpty {
            unsafe BIO_write(input, ciphertext, CInt(ciphertext.count))
        }
        ERR_clear_error()
        if !isReady { isReady = unsafe SSL_do_handshake(ssl) == 1 }
        if isReady {
            var buffer = [UInt8](repeating: 0, count: 16384)
            while case let count = unsafe SSL_read(ssl, &buffer, 16384), count > 0 {
                received += buffer.prefix(Int(count))
            }
        }
        note(9, Int(unsafe SSL_get_state(ssl).rawValue), Int(ERR_peek_last_error() & 0xfff))
        ERR_clear_error()
        return takeOutput()
    }

    /// Does something a peer may do at any time, and gives its records.
    func act(_ kind: UInt8, _ count: Int) -> [UInt8] {
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard isReady else { return step() }
        switch kind % 6 {
        case 0, 1:
            let asking = kind % 6 == 1
            let type = asking ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED
            if unsafe SSL_key_update(ssl, type) == 1 { unsafe SSL_do_handshake(ssl) }
        case 2:
            if unsafe SSL_is_server(ssl) == 1, unsafe SSL_new_session_ticket(ssl) == 1 {
                unsafe SSL_do_handshake(ssl)
            }
        case 3: if unsafe SSL_renegotiate(ssl) == 1 { unsafe SSL_do_handshake(ssl) }
        case 4:
            unsafe SSL_shutdown(ssl)
            hasClosed = true
        default: send(count)
        }
        return takeOutput()
    }

    private func send(_ count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: (sent.count + $0) &* 31) }
        guard !bytes.isEmpty, !hasClosed else { return }
        let written = unsafe SSL_write(ssl, bytes, CInt(bytes.count))
        if written > 0 { sent += bytes.prefix(Int(written)) }
    }

    private func takeOutput() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(unsafe BIO_ctrl_pending(output)))
        guard !bytes.isEmpty else { return [] }
        let count = unsafe BIO_read(output, &bytes, CInt(bytes.count))
        return Array(bytes.prefix(Int(max(0, count))))
    }
}
