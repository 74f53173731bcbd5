// How a listener gives out its connections: to the child tasks of `serve`, to iterators, or to a closure.

import SocketCore
import Synchronization

extension ListenerCore {
    // MARK: Arrivals

    /// Where a connection comes from.
    enum Origin {
        /// The kernel; its handshake has not begun.
        case accepted
        /// A loop, which has begun its handshake, or done it.
        case arrived(isReady: Bool)
    }

    /// Takes over a connection that is ready; on its loop's thread.
    func welcome(_ connection: Connection) {
        tell(ready: connection)
        give(connection, .arrived(isReady: true))
    }

    /// Has a task run, or go on with, a connection's handshake.
    func handOver(_ connection: Connection, _ origin: Origin) {
        give(connection, origin)
    }

    /// Who gets the connection ends its arrival, once the application has been told.
    private func give(_ connection: Connection, _ origin: Origin) {
        enum Way {
            case served(Waiter?, isLast: Bool), ready, begun, over
        }
        let way = state.withLock { s -> Way in
            var isReady = false
            // A handshake that has begun goes on when the listener stops; one that has not never begins.
            if case .arrived(let ready) = origin {
                isReady = ready
            } else if s.closeReason != nil {
                return .over
            }
            if case .server = s.consumer {
                let lane = connection.loop.number
                s.lanes[lane].connections.append(connection)
                return .served(s.lanes[lane].server.take(), isLast: isReady && s.endArrival())
            }
            guard s.closeReason == nil else { return .over }
            return isReady ? .ready : .begun
        }
        switch way {
        case .served(let server, let isLast):
            server?.resume()
            if isLast { noMoreArrive() }
        case .ready:
            publish(OnSocketEvent(Socket(connection), self))
            endArrival()
        case .begun: startEvent(connection)
        case .over:
            connection.abort(reason: "the listener was closed")
            endArrival()
        }
    }

    /// Takes in that a connection has ended before its handshake was done.
    func giveUp(_ connection: Connection) {
        let failure = connection.state.withLock { $0.failure } ?? SocketError(.closed)
        if events.isObserved { tell(of: connection, failure) }
        // Not here: the thread may be the application's, with a lock that its closure takes.
        connection.loop.execute { [self] in
            report(failure, connection.remote ?? localAddress)
            add(credit: 1)
            endArrival()
        }
    }

    /// Counts an arrival that has come to its end, behind all that the application is told of it: the
    /// listener's own end waits for the last one.
    private func endArrival() {
        if state.withLock({ $0.endArrival() }) { noMoreArrive() }
    }

    private func noMoreArrive() {
        for server in state.withLock({ $0.takeServers() }) { server.resume() }
        settleIfOver()
    }

    /// Runs a connection's handshake in a task, and tells of it, also if it came to nothing.
    ///
    /// - Returns: Whether the connection is ready.
    private func shakeHands(_ connection: Connection) async -> Bool {
        do throws(SocketError) {
            try await connection.handshake()
        } catch {
            connection.abort(reason: "the handshake failed")
            if isTLS, events.isObserved { tell(of: connection, error) }
            report(error, connection.remote ?? localAddress)
            return false
        }
        tell(ready: connection)
        return true
    }

    private func tell(ready connection: Connection) {
        if traffic.isObserved { tellReady(of: connection) }
        if isTLS, events.isObserved { tell(of: connection) }
    }

    /// Tells the application of a handshake or a handler that failed.
    func report(_ error: any Error, _ remote: SocketAddress) {
        let hook = state.withLock { s -> ErrorHook? in
            switch s.consumer {
            case .server(let hook), .handler(let hook, _): hook
            case .nobody, .iterators: nil
            }
        }
        hook?(error, remote)
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

    // MARK: Serving

    /// Makes the caller the one who takes the connections.
    func beServed(_ onError: ErrorHook?) throws(SocketError) {
        try take(as: .server(onError))
        // Before the first credit, so nothing is in any lane.
        state.withLock { s in s.lanes = group.loops.map { _ in Lane() } }
    }

    /// Runs a child task for every connection until the listener is over and they have ended.
    ///
    /// Whoever cancels the task must abort the listener: that ends every wait here, and in the handlers.
    @concurrent
    func serve(
        _ maxConcurrent: Int,
        _ handler: @escaping @Sendable (Socket) async throws -> Void
    ) async {
        add(credit: maxConcurrent)
        await withDiscardingTaskGroup { lanes in
            for loop in group.loops {
                lanes.addTask(executorPreference: loop) { await self.serve(on: loop, handler) }
            }
        }
    }

    /// Runs a child task for every connection of one loop.
    private func serve(
        on loop: EventLoop,
        _ handler: @escaping @Sendable (Socket) async throws -> Void
    ) async {
        await withDiscardingTaskGroup { handlers in
            var connections: [Connection] = []
            while await takeConnections(of: loop, &connections) {
                for connection in connections {
                    handlers.addTask(executorPreference: executor ?? loop) {
                        await self.run(connection, handler)
                        self.add(credit: 1)
                    }
                }
                connections.removeAll(keepingCapacity: true)
            }
        }
    }

    /// Waits for connections and takes all there are; false when there will be none.
    private func takeConnections(
        of loop: EventLoop,
        _ connections: inout [Connection]
    ) async -> Bool {
        let lane = loop.number
        while true {
            let isOver = state.withLock { s in
                swap(&s.lanes[lane].connections, &connections)
                return s.isServed
            }
            guard connections.isEmpty else { return true }
            guard !isOver else { return false }
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard s.lanes[lane].connections.isEmpty, !s.isServed else { return false }
                    s.lanes[lane].server = waiter
                    return true
                }
            }
        }
    }

    /// One connection's handler, behind its handshake where no loop has run that.
    @inline(__always)
    private func run(
        _ connection: Connection,
        _ handler: @Sendable (Socket) async throws -> Void
    ) async {
        let task = CurrentTask.number
        let (isHandedOver, failure) = connection.state.withLock { s -> (Bool, SocketError?) in
            s.scopeTask = task
            return (s.isHandedOver, s.closeReason == nil ? nil : s.failure)
        }
        defer { connection.state.withLock { $0.scopeTask = 0 } }
        // The handle lives until the verdict: dropping it would end the connection as if all were
        // well, and a peer could take a part for the whole.
        let socket = Socket(connection)
        if isHandedOver {
            let isReady = await shakeHands(connection)
            endArrival()
            guard isReady else { return }
        }
        do {
            if let failure { throw failure }
            try await handler(socket)
            try? await socket.close()
        } catch {
            socket.abort("the handler failed")
            report(error, connection.remote ?? localAddress)
        }
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
        let event = try await waitForEvent()
        if event != nil { add(credit: 1) }
        return event
    }

    /// Waits for a connection that is ready; nil when the listener is over.
    private func waitForEvent() async throws(SocketError) -> OnSocketEvent? {
        while true {
            let (event, reason) = state.withLock { s in
                (s.events.isEmpty ? nil : s.events.removeFirst(), s.closeReason)
            }
            if let event { return event }
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
                        guard s.events.isEmpty, s.closeReason == nil, !Task.isCancelled else {
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

    /// Shakes hands in a task, then delivers.
    private func startEvent(_ connection: Connection) {
        Task(executorPreference: connection.loop) { [self] in
            if await shakeHands(connection) {
                publish(OnSocketEvent(Socket(connection), self))
            } else {
                add(credit: 1)
            }
            endArrival()
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
}

extension ListenerCore.State {
    /// Whether no more connections will come for those who serve.
    fileprivate var isServed: Bool { closeReason != nil && arriving == 0 }

    /// Whether it has stopped, the last connection has ended, and the application has been told of the
    /// last handshake that failed.
    var isOver: Bool { isServed && alive.isEmpty }

    /// Counts an arrival that has come to its end; true when it is the last of all.
    fileprivate mutating func endArrival() -> Bool {
        arriving -= 1
        return isServed
    }

    /// The tasks of `serve` that wait, to be woken.
    mutating func takeServers() -> [Waiter] {
        lanes.indices.compactMap { lanes[$0].server.take() }
    }
}
