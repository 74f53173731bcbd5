// Sessions that the server's owner keeps, at OpenSSL: its cache is off, and its three callbacks stand for
// the owner. `ServerSession` tells the whole story.

import COpenSSL

extension SSLContextBuilder {
    /// Has sessions kept by the owner, where it wants that; comes behind ``setSessions(trust:)``.
    func setSessionKeeping() throws(TLSError) {
        guard policy.decisions.contains(.session) else { return }
        guard role == .server else {
            throw TLSError(
                .invalidPolicy,
                detail: "a client's sessions are its owner's in any case"
            )
        }
        let context = unsafe handle.pointer
        // Tickets that carry the session would come before it.
        unsafe SSL_CTX_set_options(context, cssl_op_no_ticket())
        let mode = SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR
        unsafe cssl_ctx_set_session_cache_mode(context, Int(mode))
        unsafe SSL_CTX_sess_set_new_cb(context, keepSession)
        unsafe SSL_CTX_sess_set_get_cb(context, findSession)
    }
}

/// What became of one connection's sessions, until the owner takes it.
///
/// Used under the engine only.
final class SessionOutbox {
    /// Bytes of a session's number.
    static let idCount = Int(SSL_MAX_SSL_SESSION_ID_LENGTH)
    /// The most changes that wait; later ones go.
    static let limit = 64

    private let ring: TicketKeyRing?
    private let givesSessions: Bool
    private var changes: [ServerSessionChange] = []
    /// The sessions that were made by this connection, or resumed.
    private var own: [[UInt8]] = []

    /// Nil where the owner keeps no sessions.
    init?(_ context: TLSContext) {
        guard context.policy.decisions.contains(.session) else { return nil }
        ring = context.ticketKeys
        givesSessions = context.policy.ticketCount > 0
    }

    /// Seals a new session.
    func append(_ session: SSLSessionHandle) {
        guard givesSessions, changes.count < SessionOutbox.limit, let id = session.id,
            let sealed = SealedServerSession.seal(session, id: id, ring)
        else { return }
        own.append(id)
        changes.append(.keep(id: id, session: sealed, until: session.expires))
    }

    /// Notes that a session was resumed.
    func noteResumed(_ id: [UInt8]) { own.append(id) }

    /// The connection has failed: what it shares secrets with is not to be used again.
    func forgetAll() {
        let mine = Set(own)
        let told = Set(changes.compactMap(\.keptID))
        changes.removeAll { $0.keptID.map(mine.contains) ?? false }
        // What nobody was told of need not be taken back.
        for id in own where !told.contains(id) { changes.append(.forget(id: id)) }
        own = []
    }

    func takeAll() -> [ServerSessionChange] {
        defer { changes = [] }
        return changes
    }
}

extension ServerSessionChange {
    fileprivate var keptID: [UInt8]? {
        if case .keep(let id, _, _) = self { return id }
        return nil
    }
}

/// The sealed form of a session that somebody keeps.
///
///     "SWSV" | version 1 | key's identifier, 8 | nonce, 12 | ciphertext | tag, 16
///
/// with the first 13 bytes and the session's number authenticated too.
enum SealedServerSession {
    private static let magic = Array("SWSV".utf8) + [1]
    private static let headerCount = 13

    /// Seals a session.
    ///
    /// - Returns: Nil where no key may seal now, or it is too large.
    static func seal(_ session: SSLSessionHandle, id: [UInt8], _ ring: TicketKeyRing?) -> [UInt8]? {
        let key = ring == nil ? SessionKey.process : ring?.sealingKey()?.sealing
        guard let key, session.derCount > 0 else { return nil }
        let secret = SecretBytes(count: session.derCount)
        unsafe session.writeDER(to: secret.pointer)
        let header = magic + key.identifier
        guard let box = SealedBox.seal(secret, header: header + id, key: key),
            header.count + box.count <= ServerSession.byteCountMax
        else { return nil }
        return header + box
    }

    /// Opens a session; nil when it is not the one of that number, or no key opens it.
    static func open(_ bytes: [UInt8], id: [UInt8], _ ring: TicketKeyRing?) -> SSLSessionHandle? {
        guard bytes.count > headerCount, bytes.starts(with: magic) else { return nil }
        let identifier = bytes[magic.count..<headerCount]
        let process = SessionKey.process
        let key =
            ring == nil
            ? (process.identifier[...] == identifier ? process : nil)
            : ring?.openingKey(sealedBy: identifier)?.sealing
        guard let key,
            let secret = SealedBox.open(
                bytes[headerCount...],
                header: bytes[..<headerCount] + id,
                key: key
            ),
            let session = unsafe SSLSessionHandle(der: UnsafeBufferPointer(secret.buffer)),
            session.id == id
        else { return nil }
        return session
    }
}

extension SSLSessionHandle {
    /// Its number; nil when it has none.
    var id: [UInt8]? {
        var count: CUnsignedInt = 0
        guard let start = unsafe SSL_SESSION_get_id(pointer, &count), count > 0 else { return nil }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }
}

extension SSLConnection {
    /// The slot of a connection's `SessionOutbox`; nil in most.
    static let outboxIndex = cssl_ssl_ex_index()

    /// Has the sessions that this server makes put into an outbox, which must outlive the connection.
    mutating func deliverSessions(to outbox: SessionOutbox) {
        let pointer = unsafe Unmanaged.passUnretained(outbox).toOpaque()
        unsafe SSL_set_ex_data(ssl, SSLConnection.outboxIndex, pointer)
    }

    fileprivate static func outbox(of ssl: OpaquePointer?) -> SessionOutbox? {
        guard let ssl = unsafe ssl, let pointer = unsafe SSL_get_ex_data(ssl, outboxIndex) else {
            return nil
        }
        return unsafe Unmanaged<SessionOutbox>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// The number of the session that was resumed; nil when none was.
    var resumedSessionID: [UInt8]? {
        guard isResumed, let session = unsafe SSL_get_session(ssl) else { return nil }
        return unsafe SSLSessionHandle(sharing: session).id
    }
}

/// `SSL_CTX_sess_set_new_cb` of a server: a session was made.
///
/// - Returns: 0: OpenSSL's reference stays its own.
@c(sockets_keep_session)
private func keepSession(_ ssl: OpaquePointer?, _ session: OpaquePointer?) -> CInt {
    guard let session = unsafe session, let outbox = unsafe SSLConnection.outbox(of: ssl) else {
        return 0
    }
    // TLS 1.3 has asked when it began the ticket; TLS 1.2 has none.
    if unsafe SSL_version(ssl) != TLS1_3_VERSION, unsafe SSL_SESSION_get0_peer(session) != nil {
        _ = unsafe fillTicket(ssl, nil)
    }
    outbox.append(unsafe SSLSessionHandle(sharing: session))
    return 0
}

/// `SSL_CTX_sess_set_get_cb`: a client wants to resume; the owner was asked before.
@c(sockets_find_session)
private func findSession(
    _ ssl: OpaquePointer?,
    _ id: UnsafePointer<UInt8>?,
    _ count: CInt,
    _ copies: UnsafeMutablePointer<CInt>?
) -> OpaquePointer? {
    guard let found = unsafe Callbacks.deliberation(of: ssl)?.sessions?.found,
        unsafe UnsafeBufferPointer(start: id, count: Int(count)).elementsEqual(found.id)
    else { return nil }
    // Who asks for certificates looks at the chain again, as it does with tickets.
    guard unsafe admitsSession(found.handle.pointer, ssl) else { return nil }
    // OpenSSL takes a reference of its own.
    unsafe copies?.pointee = 1
    return unsafe found.handle.pointer
}
