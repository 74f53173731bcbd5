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

extension RawRoute {
    /// Sends a hello and reads the answer.
    ///
    /// Never fails. Cancelling the task ends it with silence.
    func ask(_ hello: RawHello, _ framing: RawFraming = .plain) async -> RawReply {
        let options = SocketInit(type: .tcp, remote: address) {
            $0.addressFamily = family
            $0.connectionTimeout = timeout
            $0.limits.connectAttempt = timeout
            $0.noDelay = true
            $0.signal = .timeout(timeout)
        }
        do throws(SocketError) {
            let socket = try Socket(options)
            defer { socket.abort() }
            return await converse(socket, hello, framing)
        } catch {
            return RawReply(answer: .unconnected(error))
        }
    }

    private func converse(
        _ socket: Socket,
        _ hello: RawHello,
        _ framing: RawFraming
    ) async -> RawReply {
        var reader = ServerReader()
        let clock = ContinuousClock()
        let answer: RawAnswer
        var sent: ContinuousClock.Instant?
        do throws(SocketError) {
            _ = try await socket.ready
            if let refusal = await refusal(on: socket) {
                return RawReply(
                    answer: .clear(refusal),
                    address: socket.remoteAddress,
                    timings: socket.timings
                )
            }
            sent = clock.now
            let bytes = framing.records(of: hello.message(), version: hello.newest)
            try await send(bytes, framing, to: socket)
            answer = try await read(socket, &reader)
        } catch {
            let hasConnected = socket.timings.connect != nil
            let timedOut = [.aborted, .idleTimedOut].contains(error.code)
            answer =
                if !hasConnected, !timedOut {
                    .unconnected(error)
                } else if timedOut, !hasConnected {
                    .unconnected(SocketError(.connectTimedOut, address: address))
                } else {
                    // A reset may come in front of what was sent before it.
                    reader.ending(or: timedOut ? .silence : .closed)
                }
        }
        return RawReply(
            answer: answer,
            address: socket.remoteAddress,
            timings: socket.timings,
            answerTime: sent.map { clock.now - $0 }
        )
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
