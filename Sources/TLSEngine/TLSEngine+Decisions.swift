// Handshakes in which something is decided: the engine's side of `Deliberation`. A handshake in which
// nothing is, comes here never.

extension TLSEngine {
    // MARK: Questions and answers

    /// What a step that wants ``Wants/decision`` asks its owner; nil when there is nothing to decide.
    public var question: TLSQuestion? { deliberation?.pending }

    /// Answers ``question``; the step is called again then.
    ///
    /// - Parameter answer: The owner's word.
    /// - Throws: ``TLSError`` `.unexpectedAnswer` when there is no question, or the answer is not one
    ///   to it; the question stays then. Another error ends the engine, as one of a step does.
    public mutating func answer(_ answer: TLSAnswer) throws(TLSError) {
        try requireUsable()
        guard let deliberation else {
            throw TLSError(.unexpectedAnswer, phase: phase, detail: "there is no question")
        }
        let question = deliberation.pending
        var preferences: ApplicationProtocolPreferences?
        if case .use(_, let protocols?) = answer {
            let limit = context.policy.limits.alpnListBytes
            preferences = ApplicationProtocolPreferences(
                wireForm: try ApplicationProtocolList.wireForm(of: protocols, limit: limit)
            )
        }
        try deliberation.take(answer)
        if case .presharedKey(let request) = question { return try settle(request, answer) }
        guard case .clientHello(let hello) = question else { return }
        switch answer {
        case .accept, .present, .presharedKey, .session, .use(nil, _): try settle(hello)
        case .use(let chosen?, _): try restart(as: chosen)
        case .refuse: deliberation.isHelloSettled = true
        }
        self.deliberation?.applicationProtocols = preferences
    }

    // MARK: The step

    /// Takes a handshake with decisions as far as the input and the answers go.
    mutating func deliberate(
        consuming ciphertext: Span<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        var consumed = 0
        while let deliberation {
            if !deliberation.hasConsideredSession { considerSession(deliberation) }
            guard deliberation.pending == nil else {
                return Progress(consumed: consumed, wants: .decision)
            }
            if deliberation.dropsSession { dropSession(deliberation) }
            if let keys = deliberation.presharedKeys, try mustAskFirst(deliberation, keys) {
                continue
            }
            if record?.offered != nil { spendOffer() }
            guard try speak(deliberation, &output) else {
                return Progress(consumed: consumed, wants: .write)
            }
            let before = output.count
            let (outcome, wasReplay) = try advance(
                deliberation,
                ciphertext.extracting(consumed..<ciphertext.count),
                &output,
                &consumed
            )
            if deliberation.isHelloIn, !deliberation.isHelloSettled {
                try consider(deliberation)
                continue
            }
            if let lookup = deliberation.sessions, deliberation.isHelloIn, !lookup.isSettled,
                deliberation.refusal == nil
            {
                lookUp(deliberation, lookup)
                continue
            }
            if let keys = deliberation.presharedKeys,
                try mustAsk(deliberation, keys, behind: outcome)
            {
                continue
            }
            guard deliberation.pending == nil else { continue }
            if outcome != .failed,
                deliberation.isWithholding || mustWithhold(deliberation, before, output.count)
            {
                deliberation.withheld += output.removeEnd(from: before)
                deliberation.isWithholding = outcome == .wantsOutput
                if outcome != .wantsOutput { askBehindFlight(deliberation) }
                continue
            }
            switch outcome {
            case .done:
                guard isAtEnd(deliberation) else { continue }
                try completeHandshake(&output)
                return Progress(consumed: consumed, wants: .nothing)
            // What was kept is used up, and there is more.
            case .wantsInput where wasReplay && consumed < ciphertext.count: continue
            case .wantsInput: return Progress(consumed: consumed, wants: .read)
            case .wantsOutput: return Progress(consumed: consumed, wants: .write)
            case .ended: throw fail(with: closedDuringHandshake)
            case .failed: throw fail()
            }
        }
        return Progress(consumed: consumed, wants: .nothing)
    }

    /// Has OpenSSL take what was kept of the ClientHello, or else the input.
    private mutating func advance(
        _ deliberation: Deliberation,
        _ ciphertext: Span<UInt8>,
        _ output: inout OutputSpan<UInt8>,
        _ consumed: inout Int
    ) throws(TLSError) -> (outcome: StepOutcome, wasReplay: Bool) {
        let replay = deliberation.replay
        guard replay.isEmpty else {
            let (outcome, taken) = withWindows(replay.span, &output) { $0.handshake() }
            deliberation.replay.removeFirst(taken)
            return (outcome, true)
        }
        let keepsHello = deliberation.keepsHello && connection.isClientHelloDue
        let admitted = deliberation.presharedKeys?.admit(ciphertext) ?? ciphertext.count
        let (outcome, taken) = try takeHandshake(ciphertext.extracting(..<admitted), &output)
        // A byte that was held back counts only once all before it was taken.
        deliberation.presharedKeys?.note(
            ciphertext.extracting(..<taken),
            heldBack: ciphertext.extracting((taken == admitted ? taken : ciphertext.count)...)
        )
        if keepsHello {
            for place in 0..<taken { deliberation.helloRecords.append(ciphertext[place]) }
        }
        consumed += taken
        return (outcome, false)
    }

    /// Sends what an answer set free, or says no.
    ///
    /// - Returns: Whether there was room for all of it.
    /// - Throws: The refusal, once it is said.
    private mutating func speak(
        _ deliberation: Deliberation,
        _ output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Bool {
        if let (error, alert) = deliberation.refusal,
            deliberation.saysNoInTheClear || connection.isHandshakeDone
        {
            guard output.freeCapacity >= TLSEngine.alertRoom else { return false }
            if deliberation.saysNoInTheClear {
                // Nothing of what was withheld exists for the peer.
                for byte in [21, 3, 3, 0, 2, alert.level.rawValue, alert.code] as [UInt8] {
                    output.append(byte)
                }
                connection.noteAlertSent(alert)
            } else {
                _ = withWindows(Span(), &output) { $0.sayNo() }
            }
            throw fail(with: error)
        }
        guard !deliberation.isWithholding else { return output.freeCapacity > 0 }
        let count = min(output.freeCapacity, deliberation.withheld.count)
        for byte in deliberation.withheld.prefix(count) { output.append(byte) }
        deliberation.withheld.removeFirst(count)
        if count > 0 { deliberation.saysNoInTheClear = false }
        return deliberation.withheld.isEmpty
    }

    /// The room that an alert needs at most, encrypted or not.
    private static let alertRoom = 64

    // MARK: The ClientHello

    /// OpenSSL waits behind the ClientHello: asks who answers, or chooses by the servername.
    private mutating func consider(_ deliberation: Deliberation) throws(TLSError) {
        let records = deliberation.helloRecords
        let hello: ClientHello
        do throws(TLSError) {
            // OpenSSL's own limits hold already.
            guard let read = try ClientHello(reading: records, limit: .max) else {
                throw TLSError(.protocolViolation, detail: "the ClientHello ends too early")
            }
            hello = read
        } catch {
            // OpenSSL also takes a form that has no servername and no extensions (SSL 2).
            deliberation.isHelloSettled = true
            var error = error
            error.phase = .clientHello
            return deliberation.refuse(error, .decodeError)
        }
        guard deliberation.decisions.contains(.clientHello) else { return try settle(hello) }
        _ = deliberation.ask(.clientHello, .clientHello(hello))
    }

    /// Chooses the context by the servername.
    private mutating func settle(_ hello: ClientHello) throws(TLSError) {
        deliberation?.isHelloSettled = true
        guard let hosts = context.hosts else { return }
        if let host = hello.servername.flatMap(hosts.context(for:)) {
            try restart(as: host)
        } else if !hosts.admitsStrangers(to: context) {
            // missing_extension would be the word without a name (RFC 8446 §9.2), but the version, of
            // which that is, is not chosen yet.
            deliberation?.refuse(hosts.refusal(of: hello.servername), .unrecognizedName)
        }
    }

    /// Begins anew under another context, with the ClientHello that was kept.
    private mutating func restart(as chosen: TLSContext) throws(TLSError) {
        deliberation?.isHelloSettled = true
        guard chosen !== context, let records = deliberation?.helloRecords else { return }
        let fresh = Deliberation(chosen, isHelloSettled: true)
        fresh.replay = records
        fresh.helloRecords = records
        do throws(TLSError) {
            try remake(chosen, fresh)
        } catch {
            throw fail(with: error)
        }
    }

    // MARK: The server of a session

    /// A client is about to offer a session, whose server shows no certificate then: asks about the one
    /// that it has shown.
    private func considerSession(_ deliberation: Deliberation) {
        deliberation.hasConsideredSession = true
        guard deliberation.decisions.contains(.serverIdentity), let record,
            record.offered != nil, let kept = record.kept
        else { return }
        let identity = ServerIdentity(
            servername: record.expectedName?.text ?? "",
            chain: kept.sent,
            verifiedChain: kept.verified,
            isResumed: true
        )
        _ = deliberation.ask(.serverIdentity, .serverIdentity(identity))
    }

    /// The owner does not want that server any more: it has to show itself in a full handshake.
    private mutating func dropSession(_ deliberation: Deliberation) {
        deliberation.dropsSession = false
        withholdOffer(because: .refusedByApplication)
    }

    // MARK: The client's certificate

    /// Whether what was just produced must not leave before the owner's word.
    ///
    /// In TLS 1.2 that is the flight behind the client's Finished, and in both versions the first one
    /// when a session is to be resumed; the peer has got nothing encrypted before it.
    private func mustWithhold(
        _ deliberation: Deliberation,
        _ before: Int,
        _ after: Int
    ) -> Bool {
        guard after > before else { return false }
        if deliberation.questionBehindFlight != nil { return true }
        return !deliberation.isClientSettled && connection.hasPeerCertificate
            && (connection.isResumed || connection.version == .tls12)
    }

    /// The flight is complete: asks what it waits for.
    private func askBehindFlight(_ deliberation: Deliberation) {
        deliberation.saysNoInTheClear = true
        if let question = deliberation.questionBehindFlight {
            deliberation.questionBehindFlight = nil
            _ = deliberation.ask(question.kind, question)
        } else {
            askForClient(deliberation)
        }
    }

    private func askForClient(_ deliberation: Deliberation) {
        deliberation.isClientSettled = true
        let identity = ClientIdentity(
            servername: connection.servername,
            chain: resumedChain?.sent ?? connection.peerChain,
            verifiedChain: connection.isResumed
                ? resumedChain?.verified ?? [] : connection.verifiedChain,
            isResumed: connection.isResumed
        )
        _ = deliberation.ask(.clientCertificate, .clientCertificate(identity))
    }

    /// OpenSSL is done: asks about the client where that was not possible before, and sends the tickets
    /// that waited for it.
    ///
    /// - Returns: Whether nothing is left.
    private mutating func isAtEnd(_ deliberation: Deliberation) -> Bool {
        guard context.role == .server, deliberation.decisions.contains(.clientCertificate) else {
            return true
        }
        if !deliberation.isClientSettled, connection.hasPeerCertificate {
            askForClient(deliberation)
            return false
        }
        guard connection.version == .tls13, !deliberation.hasSentTickets else { return true }
        deliberation.hasSentTickets = true
        // OpenSSL gives one for a resumed session, and none to a client that could not use it.
        guard takesTickets(deliberation), context.ticketKeys?.canSeal != false else { return true }
        let count = context.policy.ticketCount
        return !connection.sendTickets(connection.isResumed ? min(1, count) : count)
    }

    /// Whether the client resumes with a key exchange of its own (RFC 8446 §4.2.9).
    private func takesTickets(_ deliberation: Deliberation) -> Bool {
        let hello = try? ClientHello(reading: deliberation.helloRecords, limit: .max)
        let modes = hello?.extensions.first { $0.number == 45 }
        return modes?.contents.dropFirst().contains(1) ?? false
    }
}

extension OutputSpan where Element == UInt8 {
    /// Takes the bytes from a place on away.
    ///
    /// - Returns: Them.
    fileprivate mutating func removeEnd(from start: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count - start)
        for place in start..<count { bytes.append(span[place]) }
        removeLast(count - start)
        return bytes
    }
}
