// OpenSSL's session object, its DER, and the sealed form of both with the facts beside it:
//
//     "SWSS" | version 1 | key's identifier, 8 | nonce, 12 | ciphertext | tag, 16
//
// with the first 13 bytes authenticated too. Encrypted are the length of the facts (4 bytes), the facts
// (`SessionFacts`, `KeptChain`), and OpenSSL's DER.

import COpenSSL

/// An `SSL_SESSION`; not changed once it is here, but for OpenSSL's note that it is of no use.
///
/// OpenSSL wipes it when the last reference goes.
@safe
final class SSLSessionHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Takes over one reference.
    init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    /// Takes a reference of its own.
    init(sharing pointer: OpaquePointer) {
        unsafe SSL_SESSION_up_ref(pointer)
        unsafe self.pointer = pointer
    }

    deinit { unsafe SSL_SESSION_free(pointer) }

    /// Reads DER; nil when it is none, or bytes follow it.
    convenience init?(der: UnsafeBufferPointer<UInt8>) {
        ErrorQueue.clear()
        defer { ErrorQueue.clear() }
        var cursor = der.baseAddress
        guard let start = der.baseAddress,
            let pointer = unsafe d2i_SSL_SESSION(nil, &cursor, der.count)
        else { return nil }
        guard unsafe cursor == start + der.count else {
            unsafe SSL_SESSION_free(pointer)
            return nil
        }
        unsafe self.init(owning: pointer)
    }

    /// Bytes of the DER; 0 when it has none.
    var derCount: Int { max(0, Int(unsafe i2d_SSL_SESSION(pointer, nil))) }

    /// Writes the DER.
    ///
    /// - Parameter memory: Of ``derCount`` bytes.
    func writeDER(to memory: UnsafeMutablePointer<UInt8>) {
        var cursor: UnsafeMutablePointer<UInt8>? = unsafe memory
        _ = unsafe i2d_SSL_SESSION(pointer, &cursor)
    }

    /// A session of its own for one connection, by way of the DER.
    ///
    /// What connections note in theirs (a failure, that it was used, that it was freed without a
    /// close_notify) would else spoil it for others.
    func copy() -> SSLSessionHandle? {
        let der = SecretBytes(count: derCount)
        guard der.count > 0 else { return nil }
        unsafe writeDER(to: der.pointer)
        return unsafe SSLSessionHandle(der: UnsafeBufferPointer(der.buffer))
    }

    var ticket: [UInt8]? {
        var start: UnsafePointer<UInt8>?
        var count = 0
        unsafe SSL_SESSION_get0_ticket(pointer, &start, &count)
        guard let start = unsafe start, count > 0 else { return nil }
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    var version: ProtocolVersion? {
        UInt16(exactly: unsafe SSL_SESSION_get_protocol_version(pointer))
            .map(ProtocolVersion.init(rawValue:))
    }

    /// The peer's certificate.
    var leaf: Certificate? {
        unsafe SSL_SESSION_get0_peer(pointer).map { Certificate(unsafe X509Handle(sharing: $0)) }
    }

    /// The context that OpenSSL resumes it in; empty for any.
    var context: [UInt8] {
        var count: CUnsignedInt = 0
        guard let start = unsafe SSL_SESSION_get0_id_context(pointer, &count) else { return [] }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }

    /// When it was made.
    var created: UnixTime { UnixTime(seconds: Int64(unsafe SSL_SESSION_get_time(pointer))) }

    /// When it is over by the server's word, or by OpenSSL's where the server says nothing.
    var expires: UnixTime {
        let hint = Int64(clamping: unsafe SSL_SESSION_get_ticket_lifetime_hint(pointer))
        let lifetime = hint > 0 ? hint : Int64(unsafe SSL_SESSION_get_timeout(pointer))
        return created.adding(.seconds(min(lifetime, TLSPolicy.sessionTimeoutMax)))
    }
}

/// What is behind a ``TLSSession``.
final class SessionStorage: Sendable {
    /// What the session was made with.
    private enum Origin {
        /// By this connection's settings; put into words when they are needed.
        case connection(TLSContext, SessionPeer, servername: String?, staple: UnixTime?)
        case export(SessionFacts)
        /// OpenSSL's form says nothing.
        case openSSL
        /// Sealed under another key.
        case foreign([UInt8])
    }

    private let origin: Origin
    /// Nil when it cannot be opened.
    let handle: SSLSessionHandle?
    /// The chain behind it; nil when it cannot be opened, or has no certificate.
    let kept: KeptChain?

    /// Takes a session of a live connection.
    init(
        _ handle: SSLSessionHandle,
        _ context: TLSContext,
        _ peer: SessionPeer,
        servername: String?,
        staple: UnixTime?,
        kept: KeptChain?
    ) {
        self.handle = handle
        self.kept = kept
        origin = .connection(context, peer, servername: servername, staple: staple)
    }

    /// Takes another's session with other facts.
    init(_ other: SessionStorage, _ facts: SessionFacts, _ kept: KeptChain?) {
        handle = other.handle
        self.kept = kept
        origin = .export(facts)
    }

    /// What it was made with; nil when that is not known.
    var facts: SessionFacts? {
        switch origin {
        case .export(let facts): return facts
        case .openSSL, .foreign: return nil
        case .connection(let context, let peer, let servername, let staple):
            guard let handle, let authentication else { return nil }
            let authenticatedAt = kept?.authenticatedAt ?? handle.created
            var expires = handle.expires
            if let timeout = context.policy.sessionTimeout {
                expires = min(expires, authenticatedAt.adding(timeout))
            }
            return SessionFacts(
                authentication: authentication,
                authenticatedAt: authenticatedAt,
                expires: expires,
                stapleExpires: staple,
                peer: peer,
                servername: servername ?? "",
                context: context.policy.sessionIDContext,
                scope: context.sessionScope
            )
        }
    }

    var authentication: SessionAuthentication? {
        if case .export(let facts) = origin { return facts.authentication }
        return handle.map { $0.leaf == nil ? .presharedKey : .certificate }
    }

    /// The key it was sealed with is not known here.
    var isForeign: Bool { handle == nil }

    // MARK: The sealed form

    private static let magic = Array("SWSS".utf8)
    private static let version: UInt8 = 1
    private static let headerCount = 13
    /// The most bytes that are read.
    private static let countMax = 256 << 10

    init(reading bytes: [UInt8], key: SessionKey) throws(TLSError) {
        guard bytes.count <= SessionStorage.countMax else {
            let detail = "it has \(bytes.count) bytes, more than \(SessionStorage.countMax)"
            throw TLSError(.invalidSession, detail: detail)
        }
        guard bytes.starts(with: SessionStorage.magic) else {
            let handle = unsafe bytes.withUnsafeBufferPointer { unsafe SSLSessionHandle(der: $0) }
            guard let handle else {
                let detail = "it is neither an export of this package nor OpenSSL's DER"
                throw TLSError(.invalidSession, detail: detail)
            }
            self.handle = handle
            kept = handle.leaf.map {
                KeptChain(authenticatedAt: handle.created, sent: [$0], verified: [])
            }
            origin = .openSSL
            return
        }
        let header = Array(bytes.prefix(SessionStorage.headerCount))
        guard bytes.count > SessionStorage.headerCount + SealedBox.nonceCount + SealedBox.tagCount
        else { throw TLSError(.invalidSession, detail: "the export was cut off") }
        guard header[4] == SessionStorage.version, Array(header[5...]) == key.identifier else {
            handle = nil
            kept = nil
            origin = .foreign(bytes)
            return
        }
        let box = bytes[SessionStorage.headerCount...]
        guard let secret = SealedBox.open(box, header: header, key: key),
            let (handle, facts, kept) = SessionStorage.read(secret)
        else { throw TLSError(.invalidSession, detail: "the export was cut off or changed") }
        self.handle = handle
        self.kept = kept
        origin = .export(facts)
    }

    private static func read(
        _ secret: SecretBytes
    ) -> (SSLSessionHandle, SessionFacts, KeptChain?)? {
        var prefix = FactsReader(unsafe Array(secret.buffer.prefix(4)))
        guard let count = prefix.number(UInt32.self).map(Int.init), count <= secret.count - 4
        else { return nil }
        // Within the secret, by the check above.
        let der = unsafe UnsafeBufferPointer(rebasing: secret.buffer[(4 + count)...])
        guard let handle = unsafe SSLSessionHandle(der: der) else { return nil }
        var reader = FactsReader(unsafe Array(secret.buffer[4..<4 + count]))
        guard let facts = SessionFacts(from: &reader) else { return nil }
        guard let leaf = handle.leaf else { return reader.isAtEnd ? (handle, facts, nil) : nil }
        guard let kept = KeptChain(from: &reader, leaf: leaf), reader.isAtEnd else { return nil }
        return (handle, facts, kept)
    }

    func sealed(with key: SessionKey) -> [UInt8] {
        if case .foreign(let bytes) = origin { return bytes }
        guard let handle else { return [] }
        guard let facts else { return unsealed(handle) }
        var writer = FactsWriter()
        facts.write(to: &writer)
        kept?.write(to: &writer)
        var prefix = FactsWriter()
        prefix.append(UInt32(clamping: writer.bytes.count))
        let public4 = prefix.bytes + writer.bytes
        let secret = SecretBytes(count: public4.count + handle.derCount)
        _ = unsafe secret.buffer.update(fromContentsOf: public4)
        // There is room for the DER behind the facts.
        unsafe handle.writeDER(to: secret.pointer + public4.count)
        let header = SessionStorage.magic + [SessionStorage.version] + key.identifier
        return SealedBox.seal(secret, header: header, key: key).map { header + $0 } ?? []
    }

    /// OpenSSL's form comes back as it came.
    private func unsealed(_ handle: SSLSessionHandle) -> [UInt8] {
        let der = SecretBytes(count: handle.derCount)
        unsafe handle.writeDER(to: der.pointer)
        return unsafe Array(der.buffer)
    }
}
