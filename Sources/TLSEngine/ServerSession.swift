// Sessions of a server that somebody else keeps: what is asked for, what is given, and what is to be kept.
// The client has a number only. TLS 1.2 calls it session id (RFC 5246 §7.4.1.2), TLS 1.3 puts it where
// its tickets are.
//
// Theory of operation
//
// - A ClientHello with such a number raises a question, `TLSQuestion.session`. The owner looks, which may
//   take its time, and answers with the session or none; without one the handshake is a full one.
// - Sessions that connections make are taken from the engine as changes, sealed, behind the handshake.
// - What is kept is sealed with the key ring's present key, else with the key of this process, and bound
//   to its number: the keeper can neither read a session nor give one for another.

/// A session that a client wants to resume, and that the owner of the engine may have.
public struct ServerSessionRequest: Hashable, Sendable {
    /// Its number: 1...32 bytes in TLS 1.2, 32 in TLS 1.3, of the client's saying.
    public let id: [UInt8]
    /// The version that asks for it.
    public let version: ProtocolVersion

    /// Whether a session counts once only, and so is to be forgotten by the look-up: in TLS 1.3, where
    /// each connection gets another one (RFC 8446 §C.4).
    public var isSingleUse: Bool { version == .tls13 }
}

/// What became of a server's sessions that its owner keeps.
public enum ServerSessionChange: Hashable, Sendable {
    /// There is a new one: its number, its sealed form, and when it is over.
    case keep(id: [UInt8], session: [UInt8], until: UnixTime)
    /// A connection failed that made or resumed it (RFC 5246 §7.2.2).
    case forget(id: [UInt8])
}

/// A session that was kept, opened for one server.
public struct ServerSession: Sendable {
    /// The most bytes of a sealed session.
    public static let byteCountMax = 64 << 10

    /// The number by which it was asked for.
    let id: [UInt8]
    let handle: SSLSessionHandle

    /// Opens what was kept.
    ///
    /// - Parameters:
    ///   - bytes: The sealed form.
    ///   - request: What the client asked for.
    ///   - context: That of the server; its key ring, or the process, has the key.
    /// - Throws: ``TLSError`` `.invalidSession` for what was cut or changed, is another session, or was
    ///   sealed with a key that is not here any more.
    public init(
        _ bytes: [UInt8],
        for request: ServerSessionRequest,
        in context: TLSContext
    ) throws(TLSError) {
        guard bytes.count <= ServerSession.byteCountMax else {
            throw TLSError(.invalidSession, detail: "it has \(bytes.count) bytes")
        }
        guard let handle = SealedServerSession.open(bytes, id: request.id, context.ticketKeys)
        else {
            throw TLSError(
                .invalidSession,
                detail: "the store gave what is not this session, or no key opens it any more"
            )
        }
        id = request.id
        self.handle = handle
    }
}

extension ServerSession: CustomStringConvertible, CustomReflectable {
    /// Nothing of the session.
    public var description: String { "server session <redacted>" }
    /// Nothing of the session.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The look-ups of one handshake.
final class SessionLookup {
    /// There is nothing more to be asked.
    var isSettled = false
    /// The numbers that were not asked about yet.
    var unasked: ArraySlice<ServerSessionRequest> = []
    /// What the owner has given.
    var found: ServerSession?
}

extension TLSEngine {
    /// Takes what became of the sessions that this server's owner keeps, oldest first.
    ///
    /// Asked for behind the handshake, and behind a failure: TLS 1.3 has new sessions in the handshake, and
    /// with each ticket that is sent later.
    public mutating func takeSessionChanges() -> [ServerSessionChange] {
        outbox?.takeAll() ?? []
    }

    /// OpenSSL waits behind the ClientHello: asks for the sessions that it names.
    mutating func lookUp(_ deliberation: Deliberation, _ lookup: SessionLookup) {
        if !lookup.isSettled, lookup.found == nil, lookup.unasked.isEmpty {
            lookup.unasked = requests(deliberation.helloRecords)[...]
        }
        guard lookup.found == nil, let next = lookup.unasked.popFirst() else {
            lookup.isSettled = true
            return
        }
        lookup.isSettled = lookup.unasked.isEmpty
        _ = deliberation.ask(.session, .session(next))
    }

    /// What the ClientHello asks for.
    private func requests(_ records: [UInt8]) -> [ServerSessionRequest] {
        // OpenSSL judges what cannot be read.
        guard let hello = try? ClientHello(reading: records, limit: .max) else { return [] }
        if context.versions.contains(.tls13), hello.offers(.tls13) {
            let offered = hello.extensions.first { $0.number == OfferedKeys.number }
            let names = OfferedKeys.identities(offered?.contents ?? [])
            return names.filter { $0.bytes.count == SessionOutbox.idCount }
                .prefix(context.policy.limits.presharedKeyIdentities)
                .map { ServerSessionRequest(id: $0.bytes, version: .tls13) }
        }
        // Behind the header, the version and the random (RFC 5246 §7.4.1.2).
        let place = 4 + 2 + 32
        guard context.versions.contains(.tls12), hello.message.count > place else { return [] }
        let count = Int(hello.message[place])
        guard (1...SessionOutbox.idCount).contains(count), hello.message.count > place + count
        else { return [] }
        let id = Array(hello.message[(place + 1)...(place + count)])
        return [ServerSessionRequest(id: id, version: .tls12)]
    }
}
