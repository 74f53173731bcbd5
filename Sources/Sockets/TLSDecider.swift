// From an engine's question to the application's closure and back to an answer. To add a question: a
// closure in `ClientCallbacks` or `ListenerCallbacks`, its row in `decisions` there, and a case here.

/// Answers the questions of handshakes.
class TLSDecider: @unchecked Sendable {
    // Sendable: nothing in it, or in what derives from it, changes but behind locks.

    /// Where it asks from.
    struct Circumstances: Sendable {
        /// The peer.
        let remote: SocketAddress
        /// The configuration that was chosen so far.
        let context: TLSContext
    }

    /// Where the closures run; nil leaves it to the system's threads, which no loop waits for.
    let executor: (any TaskExecutor)?

    init(executor: (any TaskExecutor)? = nil) { self.executor = executor }

    /// Answers a question at once, if it can be.
    ///
    /// On the handshake's own thread, with no lock held.
    func answerAtOnce(_ question: TLSQuestion, _ where: Circumstances) -> TLSAnswer? { nil }

    /// Answers one question; it may take its time.
    ///
    /// - Throws: What refuses the peer.
    func answer(_ question: TLSQuestion, _ where: Circumstances) async throws -> TLSAnswer {
        throw TLSRefusal("nobody decides", alert: .internalError)
    }
}

/// Answers for a client.
final class ClientDecider: TLSDecider, @unchecked Sendable {
    private let callbacks: ClientCallbacks

    /// Nil when there is nothing to decide.
    init?(_ tls: TLSSocketInit) {
        guard !tls.callbacks.decisions.isEmpty else { return nil }
        callbacks = tls.callbacks
        super.init()
    }

    override func answer(
        _ question: TLSQuestion,
        _ place: Circumstances
    ) async throws -> TLSAnswer {
        switch question {
        case .serverIdentity(let identity):
            guard let check = callbacks.checkServerIdentity else { break }
            try await check.function(identity.servername, identity)
            return .accept
        case .certificateChoice(let request):
            guard let choose = callbacks.chooseIdentity else { break }
            return .present(try await choose.function(request))
        case .presharedKey(let request):
            guard let give = callbacks.presharedKey else { break }
            return try await give.answer(request)
        case .ocspResponse(let response, let staple):
            guard let judge = callbacks.ocsp else { break }
            try await judge.function(response, staple)
            return .accept
        case .clientHello, .clientCertificate, .session: break
        }
        return try await super.answer(question, place)
    }
}

/// Answers for a listener.
final class ListenerDecider: TLSDecider, @unchecked Sendable {
    private let tls: TLSSocketListenerInit
    private let events: EventFeed<ListenerEvent>
    /// The most configurations of chosen hosts that are kept; the oldest goes.
    static let contextsMax = 1024
    private let contexts: ContextCache<TLSSocketListenerInit>

    /// Nil when there is nothing to decide.
    ///
    /// - Parameters:
    ///   - tls: Whose closures answer.
    ///   - executor: Where they run.
    ///   - events: Where refusals show.
    ///   - earlier: Who answered before, whose configurations of chosen hosts go on.
    init?(
        _ tls: TLSSocketListenerInit,
        executor: (any TaskExecutor)?,
        events: EventFeed<ListenerEvent>,
        after earlier: ListenerDecider? = nil
    ) {
        let all = [tls.callbacks] + tls.hosts.compactMap(\.tls?.callbacks)
        guard all.contains(where: { !$0.decisions.isEmpty }) else { return nil }
        self.tls = tls
        self.events = events
        contexts = earlier?.contexts ?? ContextCache(limit: ListenerDecider.contextsMax)
        super.init(executor: executor)
    }

    override func answerAtOnce(_ question: TLSQuestion, _ place: Circumstances) -> TLSAnswer? {
        guard case .clientHello(let hello) = question, let admit = tls.callbacks.admit else {
            return nil
        }
        guard let refusal = admit.function(hello, place.remote).refusal else {
            return tls.callbacks.chooseHost == nil ? .accept : nil
        }
        events.publish(
            .refused(.hello(refusal, servername: hello.servername), remote: place.remote)
        )
        return .refuse(refusal)
    }

    override func answer(
        _ question: TLSQuestion,
        _ place: Circumstances
    ) async throws -> TLSAnswer {
        switch question {
        case .clientHello(let hello):
            guard let choose = tls.callbacks.chooseHost else { break }
            return try answer(with: try await choose.function(hello, place.remote))
        case .clientCertificate(let identity):
            // Of the host that answers, which need not be the listener.
            let callbacks = place.context.companion as? ListenerCallbacks
            guard let check = callbacks?.checkClientIdentity else { break }
            try await check.function(identity, place.remote)
            return .accept
        case .presharedKey(let request):
            let callbacks = place.context.companion as? ListenerCallbacks
            guard let give = callbacks?.presharedKey else { break }
            return try await give.answer(request)
        case .session(let request):
            let callbacks = place.context.companion as? ListenerCallbacks
            return .session(await callbacks?.sessionStore?.find(request, place.context))
        case .serverIdentity, .certificateChoice, .ocspResponse: break
        }
        return try await super.answer(question, place)
    }

    private func answer(with choice: TLSHostChoice) throws -> TLSAnswer {
        let chosen: TLSSocketListenerInit?
        switch choice.form {
        case .configured: chosen = nil
        case .identities(let identities): chosen = tls.asHost(identities)
        case .tls(let other): chosen = other
        }
        do throws(SocketError) {
            let context = try chosen.map { chosen throws(SocketError) in
                try contexts.context(for: chosen) { () throws(SocketError) in
                    try chosen.hostContext(named: nil)
                }
            }
            return .use(context, applicationProtocols: choice.alpn)
        } catch {
            throw TLSRefusal("the chosen host cannot be: \(error)", alert: .internalError)
        }
    }
}
