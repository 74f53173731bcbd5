// What an export of a session carries beside OpenSSL's part, and its form in bytes. Numbers are
// big-endian; texts and certificates stand behind their length. Nothing here is secret.

/// What a session was made with; recorded in its export.
struct SessionFacts: Hashable, Sendable {
    var authentication: SessionAuthentication
    /// When the peer last proved who it is; sessions of resumed connections keep it.
    var authenticatedAt: UnixTime
    /// When the session is over by the server's lifetime and this side's timeout.
    var expires: UnixTime
    /// When the staple that came with the chain is over; nil without one.
    var stapleExpires: UnixTime?
    var peer: SessionPeer
    /// The name that was sent; empty for none.
    var servername: String
    /// ``TLSPolicy/sessionIDContext``.
    var context: String
    /// See ``TLSContext/sessionScope``.
    var scope: [UInt8]

    func write(to writer: inout FactsWriter) {
        writer.append(authentication.rawValue)
        writer.append(authenticatedAt.seconds)
        writer.append(expires.seconds)
        writer.append(stapleExpires?.seconds ?? .max)
        writer.append(text: peer.address)
        writer.append(peer.port)
        writer.append(text: servername)
        writer.append(text: context)
        writer.append(bytes: scope)
    }

    init?(from reader: inout FactsReader) {
        guard let kind = reader.number(UInt8.self).flatMap(SessionAuthentication.init(rawValue:)),
            let authenticatedAt = reader.number(Int64.self),
            let expires = reader.number(Int64.self), let staple = reader.number(Int64.self),
            let address = reader.text(), let port = reader.number(UInt16.self),
            let servername = reader.text(), let context = reader.text(), let scope = reader.bytes()
        else { return nil }
        authentication = kind
        self.authenticatedAt = UnixTime(seconds: authenticatedAt)
        self.expires = UnixTime(seconds: expires)
        stapleExpires = staple == .max ? nil : UnixTime(seconds: staple)
        peer = SessionPeer(address, port: port)
        self.servername = servername
        self.context = context
        self.scope = scope
    }

    init(
        authentication: SessionAuthentication,
        authenticatedAt: UnixTime,
        expires: UnixTime,
        stapleExpires: UnixTime?,
        peer: SessionPeer,
        servername: String,
        context: String,
        scope: [UInt8]
    ) {
        self.authentication = authentication
        self.authenticatedAt = authenticatedAt
        self.expires = expires
        self.stapleExpires = stapleExpires
        self.peer = peer
        self.servername = servername
        self.context = context
        self.scope = scope
    }
}

/// The chains of a full handshake, kept for the connections that resume its session.
struct KeptChain: Sendable {
    /// When the peer proved who it is.
    var authenticatedAt: UnixTime
    /// What the peer sent, leaf first.
    var sent: [Certificate]
    /// What was trusted, leaf first; empty when nothing was.
    var verified: [Certificate]
    /// Why it was not trusted, under a policy that accepts anything.
    var failure: VerificationFailure?

    var leaf: Certificate? { sent.first }

    /// Writes everything but the leaf, which OpenSSL's session has.
    func write(to writer: inout FactsWriter) {
        writer.append(authenticatedAt.seconds)
        var table: [Certificate] = []
        for certificate in sent + verified
        where certificate != leaf && !table.contains(certificate) {
            table.append(certificate)
        }
        writer.append(UInt16(clamping: table.count))
        for certificate in table { writer.append(bytes: certificate.der) }
        for chain in [sent, verified] {
            writer.append(UInt16(clamping: chain.count))
            for certificate in chain {
                // 0 is the leaf.
                let place = table.firstIndex(of: certificate).map { $0 + 1 } ?? 0
                writer.append(UInt16(clamping: place))
            }
        }
        writer.append(UInt8(failure == nil ? 0 : 1))
        guard let failure else { return }
        writer.append(Int64(failure.code.rawValue))
        writer.append(UInt16(clamping: failure.depth))
        writer.append(text: failure.text)
    }

    init?(from reader: inout FactsReader, leaf: Certificate) {
        guard let time = reader.number(Int64.self), let count = reader.number(UInt16.self) else {
            return nil
        }
        var table = [leaf]
        for _ in 0..<count {
            guard let der = reader.bytes(), let certificate = try? Certificate(der: der) else {
                return nil
            }
            table.append(certificate)
        }
        guard let sent = KeptChain.chain(from: &reader, table),
            let verified = KeptChain.chain(from: &reader, table),
            let hasFailure = reader.number(UInt8.self)
        else { return nil }
        authenticatedAt = UnixTime(seconds: time)
        self.sent = sent.isEmpty ? [leaf] : sent
        self.verified = verified
        guard hasFailure != 0 else { return }
        guard let code = reader.number(Int64.self).flatMap(Int32.init(exactly:)),
            let depth = reader.number(UInt16.self), let text = reader.text()
        else { return nil }
        failure = VerificationFailure(
            code: VerificationCode(rawValue: code),
            depth: Int(depth),
            text: text,
            certificate: Int(depth) < self.sent.count ? self.sent[Int(depth)] : nil
        )
    }

    init(
        authenticatedAt: UnixTime,
        sent: [Certificate],
        verified: [Certificate],
        failure: VerificationFailure? = nil
    ) {
        self.authenticatedAt = authenticatedAt
        self.sent = sent
        self.verified = verified
        self.failure = failure
    }

    private static func chain(
        from reader: inout FactsReader,
        _ table: [Certificate]
    ) -> [Certificate]? {
        guard let count = reader.number(UInt16.self) else { return nil }
        var chain: [Certificate] = []
        for _ in 0..<count {
            guard let place = reader.number(UInt16.self), Int(place) < table.count else {
                return nil
            }
            chain.append(table[Int(place)])
        }
        return chain
    }
}

extension KeptChain {
    /// What stands against taking the chain for the peer's now; nil when nothing does.
    ///
    /// - Parameters:
    ///   - trust: The policy; of the same scope as when the chain was judged.
    ///   - name: The name the leaf must be for; nil for none.
    /// - Returns: The obstacle.
    func obstacle(_ trust: TrustPolicy, name: ServerName?) -> SessionObstacle? {
        guard trust.acceptsAnything == nil else { return nil }
        guard failure == nil, let leaf else { return .untrusted }
        let chain = verified.isEmpty ? [leaf] : verified
        let time = trust.time
        guard chain.allSatisfy({ $0.datesProblem(at: time) == nil }) else { return .expired }
        guard
            chain.dropLast(chain.count > 1 ? 1 : 0).allSatisfy(trust.revocation.isInDate(at: time))
        else { return .expired }
        if let name, !leaf.matches(name) { return .otherName }
        if let verdict = pinVerdict(trust), verdict.match == nil, verdict.mode != .reportOnly {
            return .untrusted
        }
        return nil
    }

    /// What the policy's pins say of it.
    func pinVerdict(_ trust: TrustPolicy) -> PinVerdict? {
        guard let pins = trust.pins, let leaf else { return nil }
        return pins.verdict(on: pins.mode == .replace || verified.isEmpty ? [leaf] : verified)
    }
}

extension RevocationPolicy {
    /// Whether the lists that speak of a certificate still do: else a full handshake refuses it, too.
    fileprivate func isInDate(at time: UnixTime) -> (Certificate) -> Bool {
        { certificate in
            guard usesLists else { return true }
            let issuer = certificate.issuer
            let own = lists.filter { $0.issuer == issuer }
            return own.isEmpty
                || own.contains { list in
                    list.thisUpdate <= time && list.nextUpdate.map { time <= $0 } ?? true
                }
        }
    }
}

/// Builds bytes.
struct FactsWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> Number(shift)))
        }
    }

    mutating func append(bytes more: [UInt8]) {
        append(UInt32(clamping: more.count))
        bytes += more
    }

    mutating func append(text: String) {
        append(bytes: Array(text.utf8))
    }
}

/// Reads what ``FactsWriter`` built; nil where there is less than there should be.
struct FactsReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
        let count = Number.bitWidth / 8
        guard rest.count >= count else { return nil }
        defer { rest.removeFirst(count) }
        return rest.prefix(count).reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }

    mutating func bytes() -> [UInt8]? {
        guard let count = number(UInt32.self).map(Int.init), rest.count >= count else { return nil }
        defer { rest.removeFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func text() -> String? {
        bytes().flatMap { String(validating: $0, as: UTF8.self) }
    }
}
