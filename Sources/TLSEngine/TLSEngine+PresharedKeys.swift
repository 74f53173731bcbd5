// Handshakes with preshared keys: when the owner is asked, and what becomes of its answer.
// `PresharedKeyExchange` tells why it is asked then.

extension TLSEngine {
    // MARK: Asking

    /// Whether a client has to be asked, or has to end, before it says anything.
    mutating func mustAskFirst(
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) -> Bool {
        guard context.role == .client, !keys.isHelloSettled else { return false }
        // Nothing was said yet: there is nobody to tell.
        if let refusal = deliberation.refusal { throw fail(with: refusal.error) }
        guard context.versions.contains(.tls13) else {
            // The server's flight tells for what key.
            keys.isHelloSettled = true
            guard keys.demand == .always else { return false }
            withholdSession(keys)
            guard connection.allowOnlyPresharedKeySuites() else { throw fail(with: noSuite) }
            return false
        }
        _ = deliberation.ask(.presharedKey, .presharedKey(.begin))
        return true
    }

    /// Whether the owner has to be asked behind what OpenSSL just took.
    mutating func mustAsk(
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange,
        behind outcome: StepOutcome
    ) throws(TLSError) -> Bool {
        guard deliberation.refusal == nil else { return false }
        if context.role == .server, deliberation.isHelloIn, !keys.isHelloSettled {
            try considerOffer(deliberation, keys)
            return true
        }
        guard outcome == .wantsInput else { return false }
        // From here on the client names its key in the clear, if the suite has one.
        if context.role == .server, keys.scanner == nil, keys.isHelloSettled,
            connection.exchangesPresharedKey
        {
            keys.scanner = KeyExchangeScanner(
                role: .server,
                suites: CipherSuiteList.presharedKeySuites,
                limit: PresharedKeyInfo.identityBytesMax12
            )
            return true
        }
        switch keys.scanner?.finding {
        case nil, .some(.none): return false
        case .hint(let hint): return try askForHint(hint, deliberation, keys)
        case .identity(let identity): return try askForIdentity(identity, deliberation, keys)
        }
    }

    /// A client of TLS 1.2: the server's flight is in.
    private mutating func askForHint(
        _ hint: [UInt8]?,
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) -> Bool {
        if hint == nil, let planned = keys.planned {
            try exchange(planned, deliberation, keys)
            return true
        }
        let text = hint.map { String(decoding: $0, as: UTF8.self) }
        _ = deliberation.ask(.presharedKey, .presharedKey(.hint(text)))
        return true
    }

    /// A server of TLS 1.2: the client has named its key.
    private mutating func askForIdentity(
        _ bytes: [UInt8],
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) -> Bool {
        let identity = PresharedKeyIdentity(bytes: bytes)
        let isAskable =
            !bytes.isEmpty && !bytes.contains(0)
            && bytes.count <= context.policy.limits.presharedKeyIdentityBytes
        guard isAskable else {
            try exchangeAtRandom(identity, unknown(), keys)
            return true
        }
        _ = deliberation.ask(.presharedKey, .presharedKey(.identity(identity, .tls12)))
        return true
    }

    /// A server of TLS 1.3: OpenSSL waits behind the ClientHello.
    private mutating func considerOffer(
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        let limits = context.policy.limits
        guard context.versions.contains(.tls13),
            // OpenSSL judges what cannot be read.
            let hello = try? ClientHello(reading: deliberation.helloRecords, limit: .max),
            hello.offers(.tls13),
            let offered = hello.extensions.first(where: { $0.number == OfferedKeys.number })
        else {
            keys.isHelloSettled = true
            return
        }
        let session = deliberation.sessions?.found?.id
        let names = OfferedKeys.identities(offered.contents).filter {
            !context.isOwnTicket($0) && $0.bytes != session
        }
        keys.suites = hello.cipherSuites
        keys.firstName = names.first
        keys.unasked =
            names.filter { $0.bytes.count <= limits.presharedKeyIdentityBytes }
            .prefix(limits.presharedKeyIdentities)
        try askForNextName(deliberation, keys)
    }

    private mutating func askForNextName(
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        if let next = keys.unasked.popFirst() {
            _ = deliberation.ask(.presharedKey, .presharedKey(.identity(next, .tls13)))
            return
        }
        keys.isHelloSettled = true
        // With a certificate a name that is not known is passed over (RFC 8446 §4.2.11).
        guard context.identities.isEmpty, let name = keys.firstName else { return }
        let hash =
            PresharedKeyHash.allCases.first { hash in
                !connection.suites(of: hash, among: keys.suites).isEmpty
            }
        guard let hash else { return }
        keys.problem = keys.problem ?? unknown()
        keys.isEngaged = true
        keys.offer = PresharedKeyExchange.Offer(name, try SecretBytes.random(count: 32), hash)
        guard connection.allowOnlySuites(connection.suites(of: hash, among: keys.suites)) else {
            throw fail()
        }
    }

    // MARK: Answers

    /// Takes in what the owner said.
    mutating func settle(
        _ request: PresharedKeyRequest,
        _ answer: TLSAnswer
    ) throws(TLSError) {
        guard let deliberation, let keys = deliberation.presharedKeys else { return }
        let info: PresharedKeyInfo?
        switch answer {
        case .presharedKey(let given): info = given
        case .accept, .present, .use, .session: info = nil
        case .refuse:
            // A server of TLS 1.3 says so by OpenSSL, and a client that has not begun says nothing.
            switch request {
            case .hint, .identity(_, .tls12): deliberation.saysNoInTheClear = true
            default: break
            }
            return
        }
        do throws(TLSError) {
            switch request {
            case .begin: try begin(with: info, keys)
            case .hint: try takeHinted(info, deliberation, keys)
            case .identity(let identity, let version):
                try take(info, for: identity, version, deliberation, keys)
            }
        } catch {
            var error = error
            error.phase = error.phase ?? request.phase
            // What is wrong with the answer is no fault of the peer's.
            let alert: Alert =
                error.code == .presharedKeyMissing ? .handshakeFailure : .internalError
            deliberation.refuse(error, alert)
            switch request {
            case .hint, .identity(_, .tls12): deliberation.saysNoInTheClear = true
            default: break
            }
        }
    }

    /// A client may begin.
    private mutating func begin(
        with info: PresharedKeyInfo?,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        guard let info else {
            guard keys.demand == .always else {
                keys.isHelloSettled = true
                return
            }
            // The server of TLS 1.2 may have a hint that helps.
            guard context.versions.contains(.tls12) else { throw TLSError(.presharedKeyMissing) }
            withholdSession(keys)
            guard connection.allowOnly(.tls12), connection.allowOnlyPresharedKeySuites() else {
                throw noSuite
            }
            keys.isHelloSettled = true
            return
        }
        try check(info)
        guard context.versions.contains(info.version) else {
            throw TLSError(
                .invalidPresharedKey,
                detail: "it is for \(info.use), which is not offered"
            )
        }
        keys.isEngaged = true
        withholdSession(keys)
        try narrow(to: info, insists: keys.isDemanded)
        if let hash = info.hash {
            keys.offer = PresharedKeyExchange.Offer(info.identity, info.key, hash)
        } else {
            keys.planned = info
        }
        keys.isHelloSettled = true
    }

    /// Has a client that insists on its key offer no session: that was proved by a certificate.
    private mutating func withholdSession(_ keys: PresharedKeyExchange) {
        guard keys.isDemanded, record?.offered != nil else { return }
        withholdOffer(because: .otherAuthentication)
    }

    /// Has a client offer what goes with its key, and when it insists nothing else.
    private mutating func narrow(
        to info: PresharedKeyInfo,
        insists: Bool
    ) throws(TLSError) {
        var isSet = true
        if let hash = info.hash {
            let suites = connection.suites(of: hash)
            guard !suites.isEmpty else { throw noSuite }
            isSet = insists ? connection.allowOnlySuites(suites) : connection.preferSuites(suites)
        } else if insists {
            guard connection.allowOnlyPresharedKeySuites() else { throw noSuite }
        }
        if insists { isSet = connection.allowOnly(info.version) && isSet }
        guard isSet else { throw ErrorQueue.error(.invalidPresharedKey) }
    }

    /// A client of TLS 1.2 knows its key.
    private mutating func takeHinted(
        _ info: PresharedKeyInfo?,
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        guard let info else {
            throw TLSError(
                .presharedKeyMissing,
                hint: "The server wants a key: give one for its hint, or name no suites with keys"
            )
        }
        try exchange(info, deliberation, keys)
    }

    private mutating func exchange(
        _ info: PresharedKeyInfo,
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        try check(info)
        guard info.use == .tls12 else { throw wrongVersion(info, .tls12) }
        keys.isEngaged = true
        keys.exchanged = (info.identity.bytes, info.key)
        keys.scanner?.release()
    }

    /// A server knows its client's key, or does not.
    private mutating func take(
        _ info: PresharedKeyInfo?,
        for identity: PresharedKeyIdentity,
        _ version: ProtocolVersion,
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        guard let info else {
            return try passOver(identity, version, unknown(), deliberation, keys)
        }
        guard info.identity == identity else {
            throw TLSError(
                .invalidPresharedKey,
                detail: "the key is of another identity than the one asked for"
            )
        }
        guard info.version == version else {
            var problem = unknown()
            problem.detail = "its key is for \(info.use)"
            return try passOver(identity, version, problem, deliberation, keys)
        }
        guard let hash = info.hash else { return try exchange(info, deliberation, keys) }
        let suites = connection.suites(of: hash, among: keys.suites)
        guard !suites.isEmpty else {
            let problem = TLSError(
                .presharedKeyUnused,
                detail: "the key is for \(info.use), and no suite of it is in common"
            )
            return try passOver(identity, version, problem, deliberation, keys)
        }
        try check(info)
        guard connection.allowOnlySuites(suites) else {
            throw ErrorQueue.error(.invalidPresharedKey)
        }
        keys.isEngaged = true
        keys.offer = PresharedKeyExchange.Offer(identity, info.key, hash)
        keys.unasked = []
        keys.isHelloSettled = true
    }

    /// A server has no key of this name that could be used.
    private mutating func passOver(
        _ identity: PresharedKeyIdentity,
        _ version: ProtocolVersion,
        _ problem: TLSError,
        _ deliberation: Deliberation,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        guard version == .tls13 else { return try exchangeAtRandom(identity, problem, keys) }
        keys.problem = keys.problem ?? problem
        try askForNextName(deliberation, keys)
    }

    /// A server of TLS 1.2 goes on with a key that nobody has.
    private mutating func exchangeAtRandom(
        _ identity: PresharedKeyIdentity,
        _ problem: TLSError,
        _ keys: PresharedKeyExchange
    ) throws(TLSError) {
        keys.problem = problem
        keys.isEngaged = true
        keys.exchanged = (identity.bytes, try SecretBytes.random(count: 32))
        keys.scanner?.release()
    }

    // MARK: The end

    /// The handshake is complete: lets go of the keys, and looks which one was used.
    ///
    /// - Returns: Why the connection ends all the same; nil when all is well.
    mutating func settlePresharedKeys() -> TLSError? {
        guard let keys = deliberation?.presharedKeys else { return nil }
        keys.forget()
        let proof = connection.authentication(nonce: keys.nonce)
        provenBy = proof
        let isDemanded =
            keys.isDemanded || context.role == .server && context.identities.isEmpty
        guard isDemanded, proof?.presharedKey == nil else { return nil }
        var problem = keys.unused
        problem.phase = .finished
        return problem
    }

    /// What the two sides proved themselves by.
    var authentication: HandshakeAuthentication? {
        guard hasCompleted else { return nil }
        return provenBy ?? connection.authentication(nonce: nil)
    }

    /// Whether a session was resumed, which OpenSSL says of a preshared key of TLS 1.3 too.
    var isResumed: Bool {
        guard deliberation?.presharedKeys == nil else { return false }
        guard let provenBy else { return connection.isResumed }
        guard case .resumption = provenBy else { return false }
        return true
    }

    /// What would cure an alert of a peer that shares no key.
    func presharedKeyHint(for alert: Alert) -> String? {
        guard deliberation?.presharedKeys?.isEngaged == true, context.role == .client else {
            return nil
        }
        return switch alert {
        case .decryptError, .badRecordMAC, .unknownPSKIdentity, Alert(47):
            "The server knows another preshared key for this identity, or none"
        case .handshakeFailure, .protocolVersion:
            "The server may know no preshared keys, or not share the version and hash of this one"
        default: nil
        }
    }

    // MARK: Problems

    /// Refuses a key that was used in another way before.
    private func check(_ info: PresharedKeyInfo) throws(TLSError) {
        try PresharedKeyLedger.enter(info, as: context.role)
    }

    private func unknown() -> TLSError {
        TLSError(
            .presharedKeyUnknown,
            hint: "The client was told that its key is wrong, as for a name that is known"
        )
    }

    private var noSuite: TLSError {
        TLSError(
            .invalidPresharedKey,
            detail: "cipherAlgorithms names no suite that the key could be used with"
        )
    }

    private func wrongVersion(
        _ info: PresharedKeyInfo,
        _ version: ProtocolVersion
    ) -> TLSError {
        TLSError(
            .invalidPresharedKey,
            detail: "it is for \(info.use), and the server speaks \(version)",
            hint: "Give a key of its own for each version"
        )
    }
}
