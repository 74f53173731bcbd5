// The inside of a listener: who takes its connections, which of them are alive, and how it ends.
//
// Life of a connection: the acceptor takes it from the kernel (on the accepting loop), it becomes a
// `Connection` on the next loop of the group, and that loop shakes hands (`Connection+Arrival`), or a
// task where the application is asked or has threads of its own. Once it is ready, `serve` runs its
// handler in a child task, or an event tells of it. The listener is over when it has stopped, the last
// connection has ended, and the application has been told of the last handshake that failed. How
// connections are given out is in `ListenerCore+Serving`.

import SocketCore
import Synchronization

final class ListenerCore: Sendable {
    let loop: EventLoop
    let localAddress: SocketAddress
    /// What happens here, for whoever wants to know.
    let events = EventFeed<ListenerEvent>()
    /// Which connections come and go, for whoever wants to know.
    let traffic = EventFeed<ListenerTraffic>()
    let group: EventLoopGroup
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
    let pendingConnections: Int
    private let unixAddress: NetworkAddress?
    /// It listens on all addresses of the machine.
    private let isWildcard: Bool
    let state = Mutex(State())
    private let acceptor = Mutex<Acceptor?>(nil)

    struct State {
        /// Who takes the connections; decided once.
        var consumer = Consumer.nobody
        /// Connections on their way to whoever takes them: in their handshake, or about to be told of.
        var arriving = 0
        /// What waits for the tasks of `serve`, one lane a loop.
        var lanes: [Lane] = []
        /// Ready connections that wait for an iterator.
        var events: [OnSocketEvent] = []
        /// Tasks that wait for one or the other.
        var waiters: [Waiter] = []
        /// Every connection that is alive, to abort them all.
        var alive = Roster<Connection>()
        var closeReason: CloseReason?
        var closing: [Waiter] = []
        /// It was told that all is over.
        var isSettled = false
        /// Connections whose end is being told: the listener's own comes behind it.
        var telling = 0
    }

    /// Connections of one loop on their way to the task that serves them there: from one loop to another
    /// and back would cost two wake-ups.
    struct Lane {
        /// Ready, or with a handshake for their tasks.
        var connections: [Connection] = []
        /// The task, while there are none.
        var server: Waiter?
    }

    enum Consumer {
        case nobody
        case server(ErrorHook?)
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
            // Until `stop` lets the acceptor go.
            onAccept: { [self] descriptor, peer in accept(descriptor, peer) },
            onNews: { [self] news in take(news) }
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
        if isTLS { connection.armTimer() }
        if !loopsShakeHands {
            handOver(connection, .accepted)
        } else if !isTLS || connection.loop.isCurrent {
            // The ClientHello is often there already; another loop hears of it by its edge.
            connection.loop.enqueue(connection)
        }
        return true
    }

    /// Whether loops run the handshakes: nobody wants to have them on threads of his own.
    private var loopsShakeHands: Bool { !isTLS || executor == nil }

    /// Counts a connection as alive until it has ended; false when the listener is over.
    private func register(
        _ connection: Connection,
        _ tls: ListenerTLS?,
        _ ticket: ListenerAdmission.Ticket
    ) -> Bool {
        let gate = admission.gate(of: connection.loop)
        let isArriving = loopsShakeHands
        return state.withLock { s in
            guard s.closeReason == nil else { return false }
            let place = s.alive.insert(connection)
            s.arriving += 1
            gate?.counts.beginWaiting()
            connection.state.withLock { c in
                c.listener = self
                c.admission = ticket
                c.rosterPlace = place
                c.isArriving = isArriving
                c.isHandedOver = !isArriving
                c.gate = gate
                c.decider = tls?.decider
                if let answer = tls?.earlyAnswer { c.earlyAnswer = answer }
                c.idleTimeout = idleTimeout
                // TLS that a plain connection starts later begins then.
                guard isTLS else { return }
                c.handshakeBegan = EventLoop.readClock()
                c.establishDeadline = c.handshakeBegan.advanced(by: limits.handshake)
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

    func add(credit: Int) {
        let acceptor = acceptor.withLock { $0 }
        acceptor?.add(credit: credit)
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
                report(error, connection.remote ?? localAddress)
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
    var aliveConnections: [Connection] { state.withLock { $0.alive.all } }

    /// Tasks that wait for a connection.
    var waitingCount: Int { state.withLock { $0.waiters.count } }

    /// Stops listening; connections go on.
    func stop(_ reason: CloseReason) {
        typealias Left = (undelivered: [OnSocketEvent], waiters: [Waiter])
        let left = state.withLock { s -> Left? in
            guard s.closeReason == nil else { return nil }
            s.closeReason = reason
            // What is in the lanes goes on: it is served before the tasks there end.
            defer {
                s.events = []
                s.waiters = []
            }
            return (s.events, s.waiters + s.takeServers())
        }
        guard let left else { return settleIfOver() }
        // While it still listens: whoever finds the path gone, or silent, may bind it at once.
        if let unixAddress { try? StreamSocket.removeUnixPath(of: unixAddress) }
        acceptor.withLock { $0.take() }?.stop()
        currentTLS?.stop()
        events.publish(.draining(open: aliveCount))
        for waiter in left.waiters { waiter.resume() }
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

    /// Counts a connection no longer: it has ended.
    func forget(_ connection: Connection, at place: Int, _ ticket: ListenerAdmission.Ticket) {
        let tells = state.withLock { s in
            s.alive.remove(place)
            guard traffic.isObserved else { return false }
            s.telling += 1
            return true
        }
        connection.endWaiting()
        admission.leave(ticket)
        if tells {
            traffic.publish(.went(connection.summary, remote: connection.remote ?? localAddress))
            state.withLock { $0.telling -= 1 }
        }
        settleIfOver()
    }

    func settleIfOver() {
        let (closing, reason) = state.withLock { s -> ([Waiter], CloseReason?) in
            guard s.isOver else { return ([], nil) }
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
            let reason = state.withLock { s in s.isOver ? s.closeReason : nil }
            if let reason { return reason }
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard !s.isOver else { return false }
                    s.closing.append(waiter)
                    return true
                }
            }
        }
    }
}
