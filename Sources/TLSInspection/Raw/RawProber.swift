// Sends a raw ClientHello over a connection of its own and reads the answer, within a time. The
// connection is broken off at once: there is no key with which to say goodbye.

import Sockets

/// Where a hello is sent.
struct RawRoute: Hashable, Sendable {
    var address: SocketAddress
    var family: SocketAddressFamily = .any
    /// Time for name resolution, TCP and the answer together.
    var timeout: Duration
    /// What to say before TLS; nil where TLS is spoken from the first byte.
    var upgrade: StartTLS?
}

/// What came of one hello.
struct RawReply: Sendable {
    var answer: RawAnswer
    /// The address that answered, or was tried last.
    var address: SocketAddress?
    /// What the steps took.
    var timings = HandshakeTimings()
    /// From the hello to the answer.
    var answerTime: Duration?
}

/// A connection that waits for its hello.
struct RawLine: Sendable {
    /// How far it got.
    enum State: Sendable {
        case open(Socket)
        case failed(RawReply)
    }

    fileprivate let opening: Task<State, Never>
    fileprivate let route: RawRoute

    /// The address, when it is open; nil when it could not be opened.
    var openedAddress: SocketAddress? {
        get async {
            guard case .open(let socket) = await opened else { return nil }
            return socket.remoteAddress
        }
    }

    private var opened: State {
        get async {
            await withTaskCancellationHandler {
                await opening.value
            } onCancel: {
                opening.cancel()
            }
        }
    }

    /// Sends the hello, reads the answer, and breaks the connection off.
    func ask(_ hello: RawHello, _ framing: RawFraming) async -> RawReply {
        switch await opened {
        case .failed(let reply): return reply
        case .open(let socket):
            defer { socket.abort() }
            return await route.converse(socket, hello, framing)
        }
    }

    /// Breaks it off without a hello.
    func drop() {
        Task {
            opening.cancel()
            if case .open(let socket) = await opening.value { socket.abort() }
        }
    }
}

extension RawRoute {
    /// Sends a hello over a connection of its own and reads the answer.
    ///
    /// Never fails. Cancelling the task ends it with silence.
    func ask(_ hello: RawHello, _ framing: RawFraming = .plain) async -> RawReply {
        await open().ask(hello, framing)
    }

    /// Opens a connection ahead of its hello, up to where TLS begins.
    ///
    /// It waits for its hello as long as another one may wait for an answer.
    func open() -> RawLine {
        let options = SocketInit(type: .tcp, remote: address) {
            $0.addressFamily = family
            $0.connectionTimeout = timeout
            $0.limits.connectAttempt = timeout
            $0.noDelay = true
            $0.signal = .timeout(timeout * 2)
        }
        // Here and not in the task: some servers serve in the order in which connections came.
        do throws(SocketError) {
            let socket = try Socket(options)
            return RawLine(opening: Task { await prepare(socket) }, route: self)
        } catch {
            let reply = RawReply(answer: .unconnected(error))
            return RawLine(opening: Task { .failed(reply) }, route: self)
        }
    }

    private func prepare(_ socket: Socket) async -> RawLine.State {
        var reply = RawReply(answer: .silence)
        do throws(SocketError) {
            _ = try await socket.ready
            guard let refusal = await refusal(on: socket) else { return .open(socket) }
            reply.answer = .clear(refusal)
        } catch {
            reply.answer = failure(error, socket, ServerReader())
        }
        reply.address = socket.remoteAddress
        reply.timings = socket.timings
        socket.abort()
        return .failed(reply)
    }

    fileprivate func converse(
        _ socket: Socket,
        _ hello: RawHello,
        _ framing: RawFraming
    ) async -> RawReply {
        var reader = ServerReader()
        let clock = ContinuousClock()
        let sent = clock.now
        let answer: RawAnswer
        do throws(SocketError) {
            let bytes = framing.records(of: hello.message(), version: hello.newest)
            try await send(bytes, framing, to: socket)
            answer = try await read(socket, &reader)
        } catch {
            answer = failure(error, socket, reader)
        }
        return RawReply(
            answer: answer,
            address: socket.remoteAddress,
            timings: socket.timings,
            answerTime: clock.now - sent
        )
    }

    private func failure(
        _ error: SocketError,
        _ socket: Socket,
        _ reader: ServerReader
    ) -> RawAnswer {
        let hasConnected = socket.timings.connect != nil
        let timedOut = [.aborted, .idleTimedOut].contains(error.code)
        if !hasConnected {
            return .unconnected(timedOut ? SocketError(.connectTimedOut, address: address) : error)
        }
        // A reset may come in front of what was sent before it.
        return reader.ending(or: timedOut ? .silence : .closed)
    }

    /// Asks for TLS, where that has to be asked for.
    private func refusal(on socket: Socket) async -> DialogueFailure? {
        do throws(DialogueFailure) {
            try await upgrade?.ask(on: socket)
            return nil
        } catch {
            return error
        }
    }

    private func send(
        _ bytes: [UInt8],
        _ framing: RawFraming,
        to socket: Socket
    ) async throws(SocketError) {
        guard framing == .halves, bytes.count > 2 else { return try await socket.write(bytes) }
        let middle = bytes.count / 2
        try await socket.write(Array(bytes[..<middle]))
        // Two writes at once would leave in one packet.
        try? await Task.sleep(for: RawLimits.pause)
        try await socket.write(Array(bytes[middle...]))
    }

    private func read(
        _ socket: Socket,
        _ reader: inout ServerReader
    ) async throws(SocketError) -> RawAnswer {
        while let bytes = try await socket.read() {
            if let answer = reader.read(bytes) { return answer }
        }
        return reader.ending(or: .closed)
    }
}
