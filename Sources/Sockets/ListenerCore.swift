// The inside of a listener: who takes its connections, which of them are alive, and how it ends.
//
// Life of a connection: the acceptor takes it from the kernel (on the accepting loop), it becomes a
// `Connection` on the next loop of the group, and a task there shakes hands. Served connections run
// in child tasks of `serve`; event connections in tasks that the core keeps count of. The listener is
// over when it has stopped and the last connection has ended.

import SocketCore
import Synchronization

final class ListenerCore: Sendable {
    let loop: EventLoop
    let localAddress: SocketAddress
    /// What happens here, for whoever wants to know.
    let events = EventFeed<ListenerEvent>()
    /// Which connections come and go, for whoever wants to know.
    let traffic = EventFeed<ListenerTraffic>()
    private let group: EventLoopGroup
    /// Whether it speaks TLS.
    let isTLS: Bool
    /// What new connections are answered with; nil without TLS.
    let tls: Mutex<ListenerTLS?>
    let admission: ListenerAdmission
    private let limits: SocketLimits
    private let allowHalfOpen: Bool
    private let options: SocketOptions
    private let idleTimeout: Duration?
    let executor: (any TaskExecutor)?
    private let pendingConnections: Int
    private let unixAddress: NetworkAddress?
    /// It listens on all addresses of the machine.
    private let isWildcard: Bool
    private let state = Mutex(State())
    private let acceptor = Mutex<Acceptor?>(nil)

    private struct State {
        /// Who takes the connections; decided once.
        var consumer = Consumer.nobody
        /// Accepted connections that wait for `serve`.
        var accepted: [Connection] = []
        /// Ready connections that wait for an iterator.
        var events: [OnSocketEvent] = []
        /// Tasks that wait for one or the other.
        var waiters: [Waiter] = []
        /// Every connection that is alive, to abort them all.
        var alive: [ObjectIdentifier: Connection] = [:]
        var closeReason: CloseReason?
        var closing: [Waiter] = []
        /// It was told that all is over.
        var isSettled = false
        /// Connections whose end is being told: the listener's own comes behind it.
        var telling = 0
    }

    private enum Consumer {
        case nobody
        case server
        case iterators
        case handler(ErrorHook?, @Sendable (OnSocketEvent) -> Void)
    }

    /// Told of failed handshakes, and of errors that handlers throw.
    typealias ErrorHook = @Sendable (any Error, SocketAddress) -> Void

    init(_ options: SocketListenerInit) throws(SocketError) {
        let address = try ListenerCore.address(options.local)
        switch options.type {
        case .tcp:
            guard options.tls == TLSSocketListenerInit() else {
                throw SocketError(.tlsOptionWithoutTLS, hint: "Set type to tls")
            }
            isTLS = false
            tls = Mutex(nil)
        case .tls:
            isTLS = true
            tls = Mutex(
                try ListenerTLS(options.tls, executor: options.executor, events: events)
            )
        }
        admission = try ListenerAdmission(options.admission, isTLS: isTLS, group: options.group)
        self.options = try SocketOptions(
            noDelay: options.noDelay,
            sendBufferSize: options.sendBufferSize,
            receiveBufferSize: options.receiveBufferSize,
            ttl: options.ttl
        )
        idleTimeout = try Connector.checked(options.idleTimeout, "idleTimeout")
        guard options.pendingConnections > 0 else {
            throw SocketError(.invalidOption, detail: "pendingConnections is at least 1")
        }
        pendingConnections = options.pendingConnections
        limits = options.limits
        allowHalfOpen = options.allowHalfOpen
        executor = options.executor
        group = options.group
        loop = options.group.next()
        _ = DescriptorLimit.raise()
        let descriptor: Descriptor
        do throws(SystemCallError) {
            descriptor = try StreamSocket.listen(
                on: address,
                backlog: options.backlog,
                reusePort: options.reusePort,
                options: self.options,
                removesStaleUnixPath: true
            )
        } catch {
            throw .system(error, address: options.local)
        }
        let bound = StreamSocket.localAddress(descriptor.rawValue) ?? address
        localAddress = SocketAddress(bound)
        isWildcard = bound.ip == .v4(.any) || bound.ip == .v6(.any)
        if case .unix = bound { unixAddress = bound } else { unixAddress = nil }
        // Before the first client: it is to have a ticket.
        currentTLS?.start(for: self)
        do throws(SocketError) {
            try start(descriptor)
        } catch {
            currentTLS?.stop()
            throw error
        }
    }

    private func start(_ descriptor: consuming Descriptor) throws(SocketError) {
        let made = Acceptor(
            loop: loop,
            counts: admission.counts,
            gate: admission.gate(of: loop),
            onAccept: { [weak self] descriptor, peer in
                self?.accept(descriptor, peer) ?? true
            },
            onNews: { [weak self] news in self?.take(news) }
        )
        admission.counts.onRoom { [weak made] in made?.scheduleTurn() }
        do throws(SystemCallError) {
            try made.start(descriptor)
        } catch {
            throw .system(error)
        }
        acceptor.withLock { $0 = made }
    }

    private static func address(_ local: SocketAddress) throws(SocketError) -> NetworkAddress {
        switch try local.endpoint() {
        case .address(let address): return address
        case .name(let name, let port):
            guard name.isLocalhost else {
                throw SocketError(
                    .invalidAddress,
                    detail: "\(name) is a name",
                    hint:
                        "Listen on an IP address: 0.0.0.0 or :: for all, 127.0.0.1 for this machine"
                )
            }
            return .ip(.v4(.loopback), port: port)
        }
    }

    // MARK: Accepting

    /// Takes in what the acceptor has to say.
    private func take(_ news: Acceptor.News) {
        switch news {
        case .paused(let errno): events.publish(.acceptPaused(.system(errno, "accept")))
        case .resumed(let pause): events.publish(.acceptResumed(after: pause))
        case .failed(let errno): stop(.failed(.system(errno, "accept")))
        }
    }

    /// Makes a connection of what the kernel gave; on the accepting loop.
    ///
    /// - Returns: False for one that was turned away.
    private func accept(_ descriptor: consuming Descriptor, _ peer: NetworkAddress) -> Bool {
        let (ticket, refusal) = admission.enter(peer, connections: aliveCount)
        if let refusal {
            events.publish(.refused(refusal, remote: SocketAddress(peer)))
            return false
        }
        let connection = Connection(
            loop: group.next(),
            role: .server,
            isTLS: isTLS,
            limits: limits,
            allowHalfOpen: allowHalfOpen
        )
        let tls = currentTLS
        guard register(connection, tls, ticket) else {
            admission.leave(ticket)
            return true
        }
        traffic.publish(.came(from: SocketAddress(peer)))
        // A listener on one address need not ask the kernel which of them the peer came to.
        let own = isWildcard ? StreamSocket.localAddress(descriptor.rawValue) : nil
        do throws(SocketError) {
            // Options of the listening socket are inherited by accepted ones.
            try connection.adopt(
                descriptor,
                engine: try makeEngine(tls),
                local: own.map { SocketAddress($0) } ?? localAddress,
                remote: peer
            )
        } catch {
            connection.end(.failed(error), failure: error)
        }
        connection.armTimer()
        hand(connection)
        return true
    }

    /// Counts a connection as alive until it has ended; false when the listener is over.
    private func register(
        _ connection: Connection,
        _ tls: ListenerTLS?,
        _ ticket: ListenerAdmission.Ticket
    ) -> Bool {
        let key = ObjectIdentifier(connection)
        let gate = admission.gate(of: connection.loop)
        connection.state.withLock { s in
            s.decider = tls?.decider
            s.idleTimeout = idleTimeout
            s.establishDeadline = EventLoop.readClock().advanced(by: limits.handshake)
            s.onClosed.append { [weak self] in self?.forget(key, ticket) }
        }
        return state.withLock { s in
            guard s.closeReason == nil else { return false }
            s.alive[key] = connection
            if let gate {
                gate.counts.beginWaiting()
                connection.state.withLock { $0.gate = gate }
            }
            return true
        }
    }

    private func makeEngine(_ tls: ListenerTLS?) throws(SocketError) -> TLSEngine? {
        guard let tls else { return nil }
        do throws(TLSError) {
            return try TLSEngine(tls.context)
        } catch {
            throw .configuration(error)
        }
    }

    private func hand(_ connection: Connection) {
        enum Way {
            case served(Waiter?), event, over
        }
        let way = state.withLock { s -> Way in
            // Stopped since it was counted: nobody would take it any more.
            guard s.closeReason == nil else { return .over }
            guard case .server = s.consumer else { return .event }
            s.accepted.append(connection)
            return .served(s.waiters.popLast())
        }
        switch way {
        case .served(let waiter): waiter?.resume()
        case .event: startEvent(connection)
        case .over: connection.abort(reason: "the listener was closed")
        }
    }

    /// Runs a connection's handshake, and tells of it.
    private func shakeHands(_ connection: Connection) async throws(SocketError) {
        do throws(SocketError) {
            try await connection.handshake()
        } catch {
            // Those who did not come as far have been told of.
            if isTLS, events.isObserved, closeReason == nil || error.code != .notAdmitted {
                let remote = connection.remote ?? localAddress
                events.publish(
                    error.code == .notAdmitted
                        ? .refused(.queueTime, remote: remote)
                        : .handshakeFailed(error, remote: remote)
                )
            }
            throw error
        }
        if traffic.isObserved {
            let (timings, remote) = connection.state.withLock { s in (s.timings, s.remote) }
            traffic.publish(.ready(timings, remote: remote ?? localAddress))
        }
        guard isTLS, events.isObserved else { return }
        let (report, remote) = connection.state.withLock { s in (s.engine?.report, s.remote) }
        guard let report else { return }
        events.publish(.handshakeDone(report, remote: remote ?? localAddress))
    }

    private func add(credit: Int) {
        let acceptor = acceptor.withLock { $0 }
        acceptor?.add(credit: credit)
    }

    /// Waits for something that one look under the lock gives; nil when the listener is over.
    private func next<Item: Sendable>(
        _ take: @Sendable (inout State) -> Item?
    ) async throws(SocketError) -> Item? {
        while true {
            let (item, reason) = state.withLock { s in (take(&s), s.closeReason) }
            if let item { return item }
            if let reason {
                guard let error = reason.error, error.category != .aborted else { return nil }
                throw error
            }
            guard !Task.isCancelled else {
                throw SocketError(.aborted, detail: "the task was cancelled")
            }
            await withTaskCancellationHandler {
                await Waiter.suspend { waiter in
                    state.withLock { s in
                        let hasNews = !s.accepted.isEmpty || !s.events.isEmpty
                        guard !hasNews, s.closeReason == nil, !Task.isCancelled else {
                            return false
                        }
                        s.waiters.append(waiter)
                        return true
                    }
                }
            } onCancel: {
                wakeWaiters()
            }
        }
    }

    private func wakeWaiters() {
        let waiters = state.withLock { s in
            defer { s.waiters = [] }
            return s.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    // MARK: Serving

    /// Makes the caller the one who takes the connections.
    func beServed() throws(SocketError) {
        try take(as: .server)
    }

    private func take(as consumer: Consumer) throws(SocketError) {
        let (isTaken, isClosed) = state.withLock { s -> (Bool, Bool) in
            guard case .nobody = s.consumer else { return (true, s.closeReason != nil) }
            s.consumer = consumer
            return (false, s.closeReason != nil)
        }
        guard !isClosed else { throw SocketError(.closed) }
        guard !isTaken else {
            throw SocketError(.locked, detail: "the listener's connections are taken already")
        }
    }

    /// Runs a child task for every connection until the listener is over and they have ended.
    @concurrent
    func serve(
        _ maxConcurrent: Int,
        _ onError: ErrorHook?,
        _ handler: @escaping @Sendable (Socket) async throws -> Void
    ) async {
        add(credit: maxConcurrent)
        await withDiscardingTaskGroup { group in
            while let connection = try? await next({ s in
                s.accepted.isEmpty ? nil : s.accepted.removeFirst()
            }) {
                group.addTask(executorPreference: executor ?? connection.loop) {
                    await self.run(connection, onError, handler)
                    self.add(credit: 1)
                }
            }
        }
    }

    /// One connection's handshake and handler, under one handler of cancellation.
    private func run(
        _ connection: Connection,
        _ onError: ErrorHook?,
        _ handler: @Sendable (Socket) async throws -> Void
    ) async {
        let task = CurrentTask.number
        connection.state.withLock { $0.scopeTask = task }
        await withTaskCancellationHandler {
            // The handle lives until the verdict: dropping it would end the connection as if all were
            // well, and a peer could take a part for the whole.
            let socket = Socket(connection)
            do {
                try await shakeHands(connection)
                try await handler(socket)
                try? await socket.close()
            } catch {
                socket.abort("the handler failed")
                if let onError { onError(error, connection.remote ?? localAddress) }
            }
        } onCancel: {
            connection.abort(reason: "the serving task was cancelled")
        }
        connection.state.withLock { $0.scopeTask = 0 }
    }

    // MARK: Events

    /// Makes iterators those who take the connections; a listener that is taken otherwise refuses at
    /// their first wait.
    func startEvents() {
        guard (try? take(as: .iterators)) != nil else { return }
        add(credit: pendingConnections)
    }

    /// Makes a closure the one that takes the connections.
    func deliver(
        to handler: @escaping @Sendable (OnSocketEvent) -> Void,
        onError: ErrorHook?
    ) throws(SocketError) {
        try take(as: .handler(onError, handler))
        add(credit: pendingConnections)
    }

    func nextEvent() async throws(SocketError) -> OnSocketEvent? {
        let isRefused = state.withLock { s in
            guard case .iterators = s.consumer else { return s.closeReason == nil }
            return false
        }
        guard !isRefused else {
            throw SocketError(.locked, detail: "the listener's connections are taken already")
        }
        let event = try await next { s in s.events.isEmpty ? nil : s.events.removeFirst() }
        if event != nil { add(credit: 1) }
        return event
    }

    /// Shakes hands, then delivers.
    private func startEvent(_ connection: Connection) {
        Task(executorPreference: connection.loop) { [self] in
            do throws(SocketError) {
                try await shakeHands(connection)
                publish(OnSocketEvent(Socket(connection), self))
            } catch {
                add(credit: 1)
                reportEventError(error, connection.remote ?? localAddress)
            }
        }
    }

    private func publish(_ event: OnSocketEvent) {
        typealias Handler = @Sendable (OnSocketEvent) -> Void
        let (handler, waiter) = state.withLock { s -> (Handler?, Waiter?) in
            if case .handler(_, let handler) = s.consumer { return (handler, nil) }
            if s.closeReason == nil { s.events.append(event) }
            return (nil, s.waiters.popLast())
        }
        waiter?.resume()
        if let handler {
            handler(event)
            add(credit: 1)
        }
    }

    private func reportEventError(_ error: any Error, _ remote: SocketAddress) {
        let hook = state.withLock { s -> ErrorHook? in
            if case .handler(let hook, _) = s.consumer { return hook }
            return nil
        }
        hook?(error, remote)
    }

    /// Applies a response's options and sends its body.
    func respond(to socket: Socket, with response: SocketResponse) throws(SocketError) {
        let connection = socket.connection
        let options = response.options
        try connection.apply(options)
        if let signal = options.signal {
            let number = signal.register { [weak connection] in connection?.abort(reason: $0) }
            connection.onClosed { signal.unregister(number) }
        }
        guard let body = options.body else { return }
        connection.start(body) { [self] outcome in
            if case .failure(let error) = outcome {
                reportEventError(error, connection.remote ?? localAddress)
                return
            }
            // Somebody else may still read the stream, and holds the socket: the connection then ends
            // with them. This task must not hold it for them.
            let isReadElsewhere = connection.state.withLock { s in
                s.establishDeadline = nil
                return s.isLocked && s.lifecycle.canRead
            }
            if !isReadElsewhere { try? await socket.close() }
        }
    }

    // MARK: Ending

    var closeReason: CloseReason? { state.withLock { $0.closeReason } }

    /// Connections that have not ended.
    var aliveCount: Int { state.withLock { $0.alive.count } }

    /// The connections that have not ended, in no order.
    var aliveConnections: [Connection] { state.withLock { Array($0.alive.values) } }

    /// Tasks that wait for a connection.
    var waitingCount: Int { state.withLock { $0.waiters.count } }

    /// Stops listening; connections go on.
    func stop(_ reason: CloseReason) {
        typealias Left = (untaken: [Connection], undelivered: [OnSocketEvent], waiters: [Waiter])
        let left = state.withLock { s -> Left? in
            guard s.closeReason == nil else { return nil }
            s.closeReason = reason
            defer {
                s.accepted = []
                s.events = []
                s.waiters = []
            }
            return (s.accepted, s.events, s.waiters)
        }
        guard let left else { return settleIfOver() }
        // While it still listens: whoever finds the path gone, or silent, may bind it at once.
        if let unixAddress { try? StreamSocket.removeUnixPath(of: unixAddress) }
        acceptor.withLock { $0 }?.stop()
        currentTLS?.stop()
        events.publish(.draining(open: aliveCount))
        for waiter in left.waiters { waiter.resume() }
        for connection in left.untaken { connection.abort(reason: "the listener was closed") }
        for event in left.undelivered { event.socket.abort("the listener was closed") }
        settleIfOver()
    }

    /// Turns away the connections whose handshake has not begun.
    func dropWaiting() {
        for connection in aliveConnections where connection.isWaiting {
            let remote = connection.remote ?? localAddress
            events.publish(.refused(.draining, remote: remote))
            let error = SocketError(
                .notAdmitted,
                detail: "the listener is about to close",
                address: remote
            )
            connection.end(.failed(error), failure: error, departure: .quiet)
        }
    }

    /// Stops listening and aborts every connection.
    func abort(reason: String?) {
        stop(.aborted(reason))
        abortConnections(reason: reason)
    }

    /// - Returns: How many there were.
    @discardableResult
    func abortConnections(reason: String?) -> Int {
        let connections = aliveConnections
        for connection in connections { connection.abort(reason: reason) }
        return connections.count
    }

    private func forget(_ key: ObjectIdentifier, _ ticket: ListenerAdmission.Ticket) {
        let (ended, tells) = state.withLock { s -> (Connection?, Bool) in
            let ended = s.alive.removeValue(forKey: key)
            let tells = ended != nil && traffic.isObserved
            if tells { s.telling += 1 }
            return (ended, tells)
        }
        ended?.endWaiting()
        admission.leave(ticket)
        if tells, let ended {
            traffic.publish(.went(ended.summary, remote: ended.remote ?? localAddress))
            state.withLock { $0.telling -= 1 }
        }
        settleIfOver()
    }

    private func settleIfOver() {
        let (closing, reason) = state.withLock { s -> ([Waiter], CloseReason?) in
            guard s.closeReason != nil, s.alive.isEmpty else { return ([], nil) }
            defer { s.closing = [] }
            guard s.telling == 0 else { return (s.closing, nil) }
            defer { s.isSettled = true }
            return (s.closing, s.isSettled ? nil : s.closeReason)
        }
        for waiter in closing { waiter.resume() }
        guard let reason else { return }
        events.publish(.closed(reason))
        events.finish()
        traffic.finish()
    }

    func waitUntilClosed() async -> CloseReason {
        while true {
            let reason = state.withLock { s in s.alive.isEmpty ? s.closeReason : nil }
            if let reason { return reason }
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard s.closeReason == nil || !s.alive.isEmpty else { return false }
                    s.closing.append(waiter)
                    return true
                }
            }
        }
    }
}
