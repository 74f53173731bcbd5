// A TLS server in memory that checks nothing of what it presents: keys of 512 bits, hashes of the
// last century, chains in any order. `TLSEngine` and every sound server refuse to load such things,
// and so could not show them to a client that is under test.

public import TLSEngine
internal import COpenSSL

/// A TLS server without a socket: bytes of a client in, bytes for the client out.
///
/// ```swift
/// var server = try UncheckedServer(scenario.certificate)
/// while let bytes = try await socket.read() {
///     try await socket.write(server.receive(bytes))
/// }
/// ```
///
/// It runs at OpenSSL's security level 0. What it reads after the handshake it sends back, unless
/// ``isEchoing`` says otherwise.
@safe
public struct UncheckedServer: ~Copyable {
    private let context: OpaquePointer
    private let ssl: OpaquePointer
    /// Owned by `ssl`.
    private let input: OpaquePointer
    private let output: OpaquePointer
    private let staple: Staple?
    /// Whether the handshake is done.
    public private(set) var isReady = false
    /// Why the handshake failed; nil as long as it did not.
    public private(set) var failure: TestKitError?
    /// Whether it sends back what it reads; true by default.
    public var isEchoing = true
    /// What it read after the handshake and did not send back.
    public private(set) var received: [UInt8] = []

    /// Makes a server.
    ///
    /// - Parameters:
    ///   - certificate: What to present: its ``IssuedCertificate/chainDER`` as it is.
    ///   - versions: The protocol versions to speak.
    ///   - staple: The OCSP response for clients that ask for one; nil for none.
    /// - Throws: ``TestKitError`` `.openSSL` if OpenSSL cannot read a certificate or the key fits not
    ///   even by its public half.
    public init(
        _ certificate: IssuedCertificate,
        versions: ClosedRange<ProtocolVersion> = .tls12 ... .tls13,
        staple: OCSPAnswer? = nil
    ) throws(TestKitError) {
        let context = unsafe try openSSL("make a context") {
            unsafe SSL_CTX_new(TLS_server_method())
        }
        let kept = staple.map { Staple($0.der) }
        let ssl: OpaquePointer
        do throws(TestKitError) {
            unsafe try Self.configure(context, certificate, versions, kept)
            unsafe ssl = try openSSL("make a connection") { unsafe SSL_new(context) }
        } catch {
            unsafe SSL_CTX_free(context)
            throw error
        }
        guard let input = unsafe BIO_new(BIO_s_mem()), let output = unsafe BIO_new(BIO_s_mem())
        else {
            unsafe SSL_free(ssl)
            unsafe SSL_CTX_free(context)
            throw TestKitError(.openSSL, "allocate a buffer")
        }
        // The connection takes over both.
        unsafe SSL_set_bio(ssl, input, output)
        unsafe SSL_set_accept_state(ssl)
        unsafe self.context = context
        unsafe self.ssl = ssl
        unsafe self.input = input
        unsafe self.output = output
        self.staple = kept
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe SSL_CTX_free(context)
    }

    /// Takes what the client sent.
    ///
    /// - Parameter bytes: What came, cut anywhere.
    /// - Returns: What to send to the client now, which is an alert if the handshake failed.
    public mutating func receive(_ bytes: [UInt8]) -> [UInt8] {
        guard failure == nil else { return [] }
        ERR_clear_error()
        if !bytes.isEmpty {
            _ = unsafe BIO_write(input, bytes, Int32(clamping: bytes.count))
        }
        if !isReady {
            do throws(TestKitError) {
                isReady = try advance()
            } catch {
                failure = error
            }
        }
        if isReady { read() }
        return drain()
    }

    /// Encrypts data for the client.
    ///
    /// - Parameter bytes: The data.
    /// - Returns: What to send to the client; nothing before the handshake is done.
    public mutating func send(_ bytes: [UInt8]) -> [UInt8] {
        guard isReady else { return [] }
        // A memory BIO takes everything, a call one record.
        for start in stride(from: 0, to: bytes.count, by: 16384) {
            let record = Array(bytes[start..<min(start + 16384, bytes.count)])
            _ = unsafe SSL_write(ssl, record, Int32(record.count))
        }
        return drain()
    }

    /// Says close_notify.
    ///
    /// - Returns: What to send to the client; nothing before the handshake is done.
    public mutating func close() -> [UInt8] {
        guard isReady else { return [] }
        _ = unsafe SSL_shutdown(ssl)
        ERR_clear_error()
        return drain()
    }

    /// Whether the handshake is done; an error if it failed.
    private func advance() throws(TestKitError) -> Bool {
        try openSSL("shake hands") {
            let status = unsafe SSL_do_handshake(ssl)
            if status == 1 { return true }
            let isWaiting = unsafe SSL_get_error(ssl, status) == SSL_ERROR_WANT_READ
            return isWaiting ? false : nil
        }
    }

    private mutating func read() {
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = unsafe SSL_read(ssl, &buffer, Int32(buffer.count))
            guard count > 0 else { break }
            if isEchoing {
                _ = unsafe SSL_write(ssl, buffer, count)
            } else {
                received += buffer.prefix(Int(count))
            }
        }
        ERR_clear_error()
    }

    private func drain() -> [UInt8] {
        var contents: UnsafeMutablePointer<CChar>?
        let count = unsafe cssl_kit_bio_contents(output, &contents)
        guard count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        _ = unsafe BIO_read(output, &bytes, Int32(clamping: count))
        return bytes
    }

    private static func configure(
        _ context: OpaquePointer,
        _ certificate: IssuedCertificate,
        _ versions: ClosedRange<ProtocolVersion>,
        _ staple: Staple?
    ) throws(TestKitError) {
        unsafe SSL_CTX_set_security_level(context, 0)
        unsafe cssl_ctx_set_mode(context, cssl_kit_modes())
        unsafe cssl_ctx_set_dh_auto(context, 1)
        unsafe cssl_ctx_set_min_proto_version(context, Int32(versions.lowerBound.rawValue))
        unsafe cssl_ctx_set_max_proto_version(context, Int32(versions.upperBound.rawValue))
        unsafe SSL_CTX_set_num_tickets(context, 1)
        let leaf = try ParsedCertificate(certificate.certificateDER)
        let pointer = unsafe leaf.pointer
        try openSSL(status: "present a certificate") {
            unsafe SSL_CTX_use_certificate(context, pointer)
        }
        unsafe try certificate.privateKey.withPointer { (key) throws(TestKitError) in
            try openSSL(status: "use a key") { unsafe SSL_CTX_use_PrivateKey(context, key) }
        }
        for der in certificate.chainDER.dropFirst() {
            let other = try ParsedCertificate(der)
            let pointer = unsafe other.pointer
            try openSSL(status: "present a chain") {
                unsafe cssl_ctx_add1_chain_cert(context, pointer)
            }
        }
        if let staple {
            // Lives as long as the server, and the context ends with it.
            let argument = unsafe Unmanaged.passUnretained(staple).toOpaque()
            unsafe cssl_kit_ctx_set_status_callback(context, giveStaple, argument)
        }
    }
}

/// A response kept for OpenSSL's callback.
private final class Staple: Sendable {
    let der: [UInt8]

    init(_ der: [UInt8]) { self.der = der }
}

/// `SSL_CTX_set_tlsext_status_cb` of a server: gives the response.
@c(tls_test_kit_give_staple)
private func giveStaple(_ ssl: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> CInt {
    guard let argument = unsafe argument else { return SSL_TLSEXT_ERR_NOACK }
    return unsafe Unmanaged<Staple>.fromOpaque(argument)._withUnsafeGuaranteedRef { staple in
        // A staple has at least one byte (RFC 6066 §8). OpenSSL's copy of none is an error, which
        // would end the handshake later.
        guard !staple.der.isEmpty else { return SSL_TLSEXT_ERR_NOACK }
        let count = Int32(clamping: staple.der.count)
        let isSet = unsafe cssl_kit_staple(ssl, staple.der, count) == 1
        return isSet ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK
    }
}
