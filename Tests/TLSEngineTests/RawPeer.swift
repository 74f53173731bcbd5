// A peer that is plain OpenSSL over memory BIOs, without the engine: for everything a peer may do
// that the engine never does (KeyUpdates, weak keys, old versions, resumption, wrong answers).

import COpenSSL
import TLSEngine
import TLSTestKit
import Testing

/// An `SSL_CTX` on its way to a raw peer.
@safe
struct RawContext {
    // Valid while the peer is made.
    let pointer: OpaquePointer
}

/// Plain OpenSSL with security level 0, to play the peer of an engine.
@safe
final class RawPeer {
    /// For calls of a test's own; lives as long as the peer.
    let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    private(set) var received: [UInt8] = []
    private(set) var isReady = false
    /// The library's last error, when a call failed for another reason than want of input.
    private(set) var failure: String?

    struct OutOfMemory: Error {}

    /// Makes a peer.
    ///
    /// - Parameters:
    ///   - role: Which side it plays.
    ///   - certificate: What it presents.
    ///   - configure: Gets the `SSL_CTX` before the connection is made from it.
    /// - Throws: `OutOfMemory`, or what reading the key throws.
    init(
        _ role: TLSRole,
        certificate: IssuedCertificate? = nil,
        configure: (RawContext) -> Void = { _ in }
    ) throws {
        let method = unsafe role == .client ? TLS_client_method() : TLS_server_method()
        guard let context = unsafe SSL_CTX_new(method) else { throw OutOfMemory() }
        // The connection keeps a reference of its own.
        defer { unsafe SSL_CTX_free(context) }
        unsafe SSL_CTX_set_security_level(context, 0)
        if let certificate { unsafe try RawPeer.use(certificate, context) }
        unsafe configure(RawContext(pointer: context))
        guard let ssl = unsafe SSL_new(context), let input = unsafe BIO_new(BIO_s_mem()),
            let output = unsafe BIO_new(BIO_s_mem())
        else { throw OutOfMemory() }
        unsafe SSL_set_bio(ssl, input, output)  // takes both over
        unsafe (self.ssl, self.input, self.output) = (ssl, input, output)
        switch role {
        case .client: unsafe SSL_set_connect_state(ssl)
        case .server: unsafe SSL_set_accept_state(ssl)
        }
    }

    deinit { unsafe SSL_free(ssl) }

    private static func use(_ certificate: IssuedCertificate, _ context: OpaquePointer) throws {
        for (place, der) in certificate.chainDER.enumerated() {
            let x509 = unsafe der.withUnsafeBufferPointer {
                var cursor = $0.baseAddress
                return unsafe d2i_X509(nil, &cursor, $0.count)
            }
            defer { unsafe X509_free(x509) }
            if place == 0 {
                unsafe SSL_CTX_use_certificate(context, x509)
            } else {
                unsafe cssl_ctx_add1_chain_cert(context, x509)
            }
        }
        let der = try certificate.privateKeyDER
        let key = unsafe der.withUnsafeBufferPointer {
            var cursor = $0.baseAddress
            return unsafe d2i_AutoPrivateKey(nil, &cursor, $0.count)
        }
        defer { unsafe EVP_PKEY_free(key) }
        try #require(unsafe SSL_CTX_use_PrivateKey(context, key) == 1)
    }

    /// Takes ciphertext of the peer, goes on with the handshake, and reads.
    ///
    /// - Returns: The ciphertext to send.
    func step(_ ciphertext: [UInt8]) -> [UInt8] {
        if !ciphertext.isEmpty {
            unsafe BIO_write(input, ciphertext, CInt(ciphertext.count))
        }
        ERR_clear_error()
        if !isReady {
            let code = unsafe SSL_do_handshake(ssl)
            isReady = code == 1
            if !isReady { note(code) }
        }
        if isReady {
            var buffer = [UInt8](repeating: 0, count: 16384)
            var code: CInt = 1
            while code > 0 {
                code = unsafe SSL_read(ssl, &buffer, CInt(buffer.count))
                if code > 0 { received += buffer.prefix(Int(code)) }
            }
            note(code)
        }
        return takeOutput()
    }

    /// Encrypts data, or with none just sends what is due.
    func send(_ bytes: [UInt8]) -> [UInt8] {
        ERR_clear_error()
        if !bytes.isEmpty { note(unsafe SSL_write(ssl, bytes, CInt(bytes.count))) }
        return takeOutput()
    }

    /// Encrypts data that goes out with the next step.
    func queue(_ bytes: [UInt8]) {
        ERR_clear_error()
        note(unsafe SSL_write(ssl, bytes, CInt(bytes.count)))
    }

    /// Makes records of messages: a KeyUpdate each.
    func keyUpdates(_ count: Int, asking: Bool = false) -> [UInt8] {
        let kind = asking ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED
        var bytes: [UInt8] = []
        for _ in 0..<count {
            ERR_clear_error()
            unsafe SSL_key_update(ssl, kind)
            note(unsafe SSL_do_handshake(ssl))
            bytes += takeOutput()
        }
        return bytes
    }

    /// Makes records of session tickets.
    func tickets(_ count: Int) -> [UInt8] {
        for _ in 0..<count {
            ERR_clear_error()
            unsafe SSL_new_session_ticket(ssl)
            note(unsafe SSL_do_handshake(ssl))
        }
        return takeOutput()
    }

    func takeOutput() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(unsafe BIO_ctrl_pending(output)))
        guard !bytes.isEmpty else { return [] }
        let count = unsafe BIO_read(output, &bytes, CInt(bytes.count))
        return Array(bytes.prefix(Int(max(0, count))))
    }

    private func note(_ code: CInt) {
        guard code <= 0 else { return }
        switch unsafe SSL_get_error(ssl, code) {
        case SSL_ERROR_SSL, SSL_ERROR_SYSCALL:
            let text = unsafe ERR_reason_error_string(ERR_peek_last_error())
            failure = unsafe text.map { unsafe String(cString: $0) } ?? "no reason"
        default: break
        }
        ERR_clear_error()
    }
}

/// An engine and a raw peer joined in memory.
final class RawPair {
    var engine: TLSEngine
    let peer: RawPeer
    private(set) var isReady = false
    private(set) var isAtEnd = false
    private(set) var error: TLSError?
    private(set) var received: [UInt8] = []

    init(_ engine: consuming TLSEngine, _ peer: RawPeer) {
        self.engine = engine
        self.peer = peer
    }

    /// Runs both sides until nothing moves.
    func settle() {
        var toPeer = advance([])
        while true {
            let toEngine = peer.step(toPeer)
            guard !toEngine.isEmpty else { return }
            toPeer = advance(toEngine)
        }
    }

    /// Gives the engine ciphertext, and the peer what it answers.
    func deliver(_ ciphertext: [UInt8]) {
        var toPeer = advance(ciphertext)
        while !toPeer.isEmpty {
            let toEngine = peer.step(toPeer)
            toPeer = toEngine.isEmpty ? [] : advance(toEngine)
        }
    }

    /// Encrypts with the engine and has the peer read.
    func send(_ bytes: [UInt8]) throws {
        let (output, result) = produced { (output) throws(TLSError) in
            try engine.send(bytes.span, producing: &output)
        }
        let progress = try result.get()
        try #require(progress.consumed == bytes.count)
        deliver(peer.step(output))
    }

    /// Steps the engine until it wants input; returns what it produced.
    private func advance(_ ciphertext: [UInt8]) -> [UInt8] {
        var (bytes, consumed) = ([UInt8](), 0)
        while error == nil, !isAtEnd {
            var plaintext: [UInt8] = []
            let (output, result) = produced { (output) throws(TLSError) in
                let rest = ciphertext.span.extracting(consumed..<ciphertext.count)
                guard isReady else {
                    return try engine.handshake(consuming: rest, producing: &output)
                }
                var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
                plaintext = try [UInt8](capacity: 65536) { plaintext throws(TLSError) in
                    progress = try engine.receive(rest, into: &plaintext, producing: &output)
                }
                return progress
            }
            bytes += output
            received += plaintext
            switch result {
            case .failure(let failure): error = failure
            case .success(let progress):
                consumed += progress.consumed
                if !isReady, progress.wants == .nothing { isReady = true }
                if progress.wants == .closed { isAtEnd = true }
                if progress.wants == .read, consumed == ciphertext.count { return bytes }
            }
        }
        return bytes
    }
}
