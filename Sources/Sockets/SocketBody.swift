// The seed's body: what a socket sends, in any of the forms in which a program has it.

import SocketCore
import Synchronization

/// What a socket or response sends (seed `SocketBody`): text, bytes, a sequence of chunks, a file, or
/// a closure that gives one of them later.
///
/// The end of the body is the end of the sending side.
public struct SocketBody: Sendable {
    private let source: Source
    /// Whether the body may arrive more than once, see ``idempotent()``; false by default.
    public private(set) var isIdempotent = false

    private enum Source: Sendable {
        case bytes([UInt8])
        case file(String)
        case stream(@Sendable (_ connection: Connection) async throws -> Void)
        case deferred(@Sendable () async throws -> SocketBody)
    }

    /// Sends text in UTF-8.
    ///
    /// - Parameter text: The text.
    /// - Returns: The body.
    public static func string(_ text: String) -> SocketBody {
        SocketBody(source: .bytes(Array(text.utf8)))
    }

    /// Sends bytes.
    ///
    /// - Parameter bytes: The bytes.
    /// - Returns: The body.
    public static func bytes(_ bytes: [UInt8]) -> SocketBody {
        SocketBody(source: .bytes(bytes))
    }

    /// Sends the chunks of a sequence as they come, for example another socket's `stream()`.
    ///
    /// - Parameter chunks: The chunks; one that throws aborts the socket.
    /// - Returns: The body.
    public static func sequence<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks
    ) -> SocketBody where Chunks.Element == [UInt8] {
        SocketBody(
            source: .stream { connection in
                for try await chunk in chunks {
                    try await connection.write(chunk.span)
                }
            }
        )
    }

    /// Sends a file's contents.
    ///
    /// - Parameter path: The file; opened when the body is sent.
    /// - Returns: The body.
    public static func file(_ path: String) -> SocketBody {
        SocketBody(source: .file(path))
    }

    /// Sends what a closure gives, once the socket is ready.
    ///
    /// - Parameter make: Gives any other body; one that throws aborts the socket.
    /// - Returns: The body.
    public static func deferred(
        _ make: @escaping @Sendable () async throws -> SocketBody
    ) -> SocketBody {
        SocketBody(source: .deferred(make))
    }

    private init(source: Source) { self.source = source }

    /// Marks the body as one that may arrive more than once, for example a question that changes nothing.
    ///
    /// A TLS client that resumes a session sends it as early data then, with its ClientHello, where the
    /// session allows that (RFC 8446 §2.3): a round trip earlier, and **whoever records it can send it
    /// again**. Only text and bytes are, up to ``TLSLimits/earlyDataBytes``. What the server does not take
    /// is sent again behind the handshake; ``HandshakeReport/earlyData`` tells.
    ///
    /// - Returns: The same body, marked.
    public func idempotent() -> SocketBody {
        var body = self
        body.isIdempotent = true
        return body
    }

    /// What may be sent as early data.
    var earlyData: [UInt8]? {
        guard isIdempotent, case .bytes(let bytes) = source else { return nil }
        return bytes
    }

    /// Sends everything.
    func send(on connection: Connection) async throws {
        switch source {
        case .bytes(let bytes):
            let sent = isIdempotent ? connection.countEarlyData() : 0
            try await connection.write(bytes.span, from: sent)
        case .file(let path): try await SocketBody.sendFile(path, on: connection)
        case .stream(let send): try await send(connection)
        case .deferred(let make): try await make().send(on: connection)
        }
    }

    /// Bytes read from a file at once.
    private static let filePiece = 256 << 10

    /// Reads on the global executor: disks block, and event loops must not.
    @concurrent
    private static func sendFile(_ path: String, on connection: Connection) async throws {
        do {
            var file = try ByteFile(path: path)
            while true {
                let piece = try file.read(upTo: filePiece)
                guard !piece.isEmpty else { return }
                try await connection.write(piece.span)
            }
        } catch let error as SystemCallError {
            throw SocketError(
                .bodyFailed,
                detail: "\(path)",
                errno: error.errno.rawValue,
                systemCall: error.call
            )
        }
    }
}

extension SocketBody: ExpressibleByStringLiteral {
    /// Sends the literal's text in UTF-8.
    public init(stringLiteral text: String) {
        self = .string(text)
    }
}

extension SocketBody: ExpressibleByArrayLiteral {
    /// Sends the literal's bytes.
    public init(arrayLiteral bytes: UInt8...) {
        self = .bytes(bytes)
    }
}

extension Connection {
    /// Sends a body in a task of its own, and ends the sending side behind it.
    ///
    /// A body that fails aborts the connection: the peer must not take a part for the whole.
    ///
    /// - Parameters:
    ///   - body: What to send.
    ///   - afterwards: Told how it went, in the same task.
    func start(
        _ body: SocketBody,
        then afterwards: @escaping @Sendable (Result<Void, SocketError>) async -> Void = { _ in }
    ) {
        hasBody.store(true, ordering: .relaxed)
        let task = Task(executorPreference: loop) { [self] in
            do {
                try await waitUntilEstablished()
                try await body.send(on: self)
                try await shutdownWrite()
                await afterwards(.success(()))
            } catch {
                let failure = bodyFailure(error)
                // `close` cuts a body off on purpose, and says goodbye itself.
                if !state.withLock({ $0.isClosing }) {
                    end(CloseReason(failure), failure: failure, departure: .abrupt)
                }
                await afterwards(.failure(failure))
            }
        }
        let isOver = state.withLock { s in
            guard s.closeReason == nil else { return true }
            s.bodyTask = task
            return false
        }
        if isOver { task.cancel() }
    }

    /// Counts the early data that the server took as sent.
    ///
    /// - Returns: Its bytes.
    fileprivate func countEarlyData() -> Int {
        state.withLock { s in
            let count = s.engine?.earlyBytesAccepted ?? 0
            s.bytesSent &+= UInt64(count)
            return count
        }
    }

    private func bodyFailure(_ error: any Error) -> SocketError {
        switch error {
        case let error as SocketError: error
        case is CancellationError: SocketError(.aborted, detail: "the body was cancelled")
        default: SocketError(.bodyFailed, detail: "\(error)")
        }
    }
}
