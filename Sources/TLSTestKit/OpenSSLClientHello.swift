// How OpenSSL's own parser reads a ClientHello: the other half of every comparison with ours.

internal import COpenSSL
package import TLSEngine

/// A ClientHello as OpenSSL's server shows it to its callback (`SSL_CTX_set_client_hello_cb`).
package struct OpenSSLClientHello: Hashable, Sendable {
    /// The version field of the message.
    package var legacyVersion: UInt16 = 0
    /// The client's random.
    package var random: [UInt8] = []
    /// The session id.
    package var sessionID: [UInt8] = []
    /// The cipher suites.
    package var cipherSuites: [UInt16] = []
    /// Whether half a suite follows them.
    package var hasOddSuites = false
    /// The compression methods.
    package var compressionMethods: [UInt8] = []
    /// The contents of the extensions that OpenSSL knows; of others it keeps nothing.
    package var extensions: [UInt16: [UInt8]] = [:]

    /// What became of a ClientHello.
    package enum Outcome: Hashable, Sendable {
        /// It was read as far as the callback.
        case read(OpenSSLClientHello)
        /// It is not complete.
        case wantsMore
        /// It was refused before the callback: OpenSSL's reason.
        case refused(String)
    }

    /// The extensions that servers of all versions of OpenSSL 3 know.
    package static let knownExtensions: Set<UInt16> = [
        0, 1, 5, 10, 11, 12, 13, 14, 16, 18, 21, 22, 23, 35, 41, 42, 43, 44, 45, 47, 49, 50, 51,
        13172, 65281,
    ]

    /// Has OpenSSL read the beginning of a connection.
    ///
    /// - Parameter records: The bytes, from the first one on.
    /// - Returns: What it made of them.
    /// - Throws: ``TestKitError`` `.openSSL` when out of memory.
    package static func read(_ records: [UInt8]) throws(TestKitError) -> Outcome {
        let context = try unsafe openSSL("make a context") {
            unsafe SSL_CTX_new(TLS_server_method())
        }
        defer { unsafe SSL_CTX_free(context) }
        // What is too weak to be used is still a ClientHello.
        unsafe SSL_CTX_set_security_level(context, 0)
        unsafe SSL_CTX_set_client_hello_cb(context, noteClientHello, nil)
        let ssl = try unsafe openSSL("make a connection") { unsafe SSL_new(context) }
        defer { unsafe SSL_free(ssl) }
        let input = try unsafe openSSL("make a BIO") { unsafe BIO_new(BIO_s_mem()) }
        // The connection takes both over; without the second the alert is lost, which nobody reads.
        unsafe SSL_set_bio(ssl, input, BIO_new(BIO_s_mem()))
        let note = ClientHelloNote()
        unsafe SSL_set_ex_data(ssl, noteIndex, Unmanaged.passUnretained(note).toOpaque())
        unsafe SSL_set_accept_state(ssl)
        if !records.isEmpty { unsafe BIO_write(input, records, CInt(records.count)) }
        ERR_clear_error()
        let code = unsafe SSL_do_handshake(ssl)
        let error = unsafe SSL_get_error(ssl, code)
        defer { ERR_clear_error() }
        if let seen = note.seen { return .read(seen) }
        guard error != SSL_ERROR_WANT_READ else { return .wantsMore }
        let reason = unsafe ERR_reason_error_string(ERR_peek_error()).map {
            unsafe String(cString: $0)
        }
        return .refused(reason ?? "no reason")
    }

    /// Whether the engine's parser read the same.
    ///
    /// - Parameter hello: What it read.
    /// - Returns: True when every field is the same, and every extension that this OpenSSL knows.
    package func isSame(as hello: ClientHello) -> Bool {
        // A newer library knows more of them, and must know those.
        let known = Self.knownExtensions.union(extensions.keys)
        let others = hello.extensions.filter { known.contains($0.number) }
        return legacyVersion == hello.legacyVersion.rawValue && random == hello.random
            && sessionID == hello.sessionID && cipherSuites == hello.cipherSuites
            && compressionMethods == hello.compressionMethods && others.count == extensions.count
            && others.allSatisfy { extensions[$0.number] == $0.contents }
    }

    /// Asks OpenSSL for everything, within its callback.
    fileprivate init(_ ssl: OpaquePointer) {
        legacyVersion = UInt16(truncatingIfNeeded: unsafe SSL_client_hello_get0_legacy_version(ssl))
        random = unsafe bytes { unsafe SSL_client_hello_get0_random(ssl, &$0) }
        sessionID = unsafe bytes { unsafe SSL_client_hello_get0_session_id(ssl, &$0) }
        let suites = unsafe bytes { unsafe SSL_client_hello_get0_ciphers(ssl, &$0) }
        cipherSuites = stride(from: 0, to: suites.count - 1, by: 2).map {
            UInt16(suites[$0]) << 8 | UInt16(suites[$0 + 1])
        }
        hasOddSuites = suites.count % 2 == 1
        compressionMethods = unsafe bytes {
            unsafe SSL_client_hello_get0_compression_methods(ssl, &$0)
        }
        var numbers: UnsafeMutablePointer<CInt>?
        var count = 0
        guard unsafe SSL_client_hello_get1_extensions_present(ssl, &numbers, &count) == 1,
            let list = unsafe numbers
        else { return }
        defer { unsafe CRYPTO_free(list, nil, 0) }
        for place in 0..<count {
            let number = unsafe CUnsignedInt(list[place])
            extensions[UInt16(truncatingIfNeeded: number)] = unsafe bytes { start in
                var length = 0
                let found = unsafe SSL_client_hello_get0_ext(ssl, number, &start, &length)
                return found == 1 ? length : 0
            }
        }
    }
}

/// Copies what a getter points at.
private func bytes(
    _ get: (inout UnsafePointer<UInt8>?) -> Int
) -> [UInt8] {
    var start: UnsafePointer<UInt8>?
    let count = unsafe get(&start)
    guard let start = unsafe start, count > 0 else { return [] }
    return unsafe Array(UnsafeBufferPointer(start: start, count: count))
}

private final class ClientHelloNote {
    var seen: OpenSSLClientHello?
}

/// The slot of a connection's note.
private let noteIndex = cssl_ssl_ex_index()

/// `SSL_CTX_set_client_hello_cb`: notes what there is, and goes no further.
@c(sockets_kit_note_client_hello)
private func noteClientHello(
    _ ssl: OpaquePointer?,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    if let ssl = unsafe ssl, let pointer = unsafe SSL_get_ex_data(ssl, noteIndex) {
        unsafe Unmanaged<ClientHelloNote>.fromOpaque(pointer)._withUnsafeGuaranteedRef {
            $0.seen = unsafe OpenSSLClientHello(ssl)
        }
    }
    return SSL_CLIENT_HELLO_RETRY
}
