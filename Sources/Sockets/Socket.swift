// The seed's `Socket`: the handle users hold. Everything behind it is in `Connection`.

import SocketCore
import Synchronization

/// A connection over TCP or TLS (seed `Socket`).
///
/// Making one starts to connect at once; what goes wrong shows at ``ready``.
///
/// ```swift
/// let socket = try Socket(SocketInit(type: .tls, remote: .init("example.com", port: 443)))
/// let info = try await socket.ready
/// try await socket.write("hello")
/// for try await chunk in try socket.stream() { print(chunk.count) }
/// try await socket.close()
/// ```
///
/// Every member may be used from any task, at the same time. A socket that is dropped closes its
/// descriptor without a word; ``withSocket(_:_:)`` closes it in good order.
public final class Socket: Sendable {
    let connection: Connection
    private let signal: (signal: AbortSignal, number: UInt64)?
    /// What a client was told to connect to; nil for a listener's socket.
    let origin: SocketAddress?

    /// Starts to connect (seed `constructor(SocketInit)`).
    ///
    /// - Parameter options: What to connect to, and how.
    /// - Throws: ``SocketError`` of category misuse, before anything is sent.
    public init(_ options: SocketInit) throws(SocketError) {
        let connector = try Connector(options)
        let connection = Connection(
            loop: options.group.next(),
            role: .client,
            isTLS: connector.tls != nil,
            limits: options.limits,
            allowHalfOpen: options.allowHalfOpen
        )
        self.connection = connection
        origin = options.remote
        if let key = options.tls.sessionKey { connection.state.withLock { $0.sessionKey = key } }
        signal = Socket.listen(to: options.signal, connection)
        let task = Task(executorPreference: connection.loop) { await connector.run(connection) }
        let isOver = connection.state.withLock { s in
            guard s.closeReason == nil else { return true }
            s.connectTask = task
            return false
        }
        if isOver { task.cancel() }
        if let body = options.body { connection.start(body) }
    }

    /// Wraps a connection that a listener accepted.
    init(_ connection: Connection) {
        self.connection = connection
        signal = nil
        origin = nil
    }

    deinit {
        if let signal { signal.signal.unregister(signal.number) }
        connection.abandon()
    }

    private static func listen(
        to signal: AbortSignal?,
        _ connection: Connection
    ) -> (signal: AbortSignal, number: UInt64)? {
        guard let signal else { return nil }
        let number = signal.register { [weak connection] in connection?.abort(reason: $0) }
        return (signal, number)
    }

    // MARK: Life

    /// Waits until data can flow, and tells what was negotiated (seed `ready`).
    ///
    /// May be awaited any number of times. Cancelling the task ends its wait, not the connection.
    public var ready: SocketInfo {
        get async throws(SocketError) {
            // A promise that was kept stays kept: what comes later shows in `closed`.
            if let info { return info }
            do throws(SocketError) {
                try await connection.waitUntilEstablished()
            } catch {
                guard let info else { throw error }
                return info
            }
            guard let info else { throw SocketError(.closed) }
            return info
        }
    }

    /// Waits until the connection has ended, and tells why (seed `closed`).
    ///
    /// Never throws, and cancelling the task does not end the wait: there would be nothing to tell.
    /// A connection ends when it is closed, aborted or dropped, when it fails, and when both sides have
    /// ended in good order: the peer's end was read, and this side's sending was ended. A reset of the
    /// peer is noticed also while nobody reads.
    public var closed: CloseReason {
        get async { await connection.waitUntilClosed() }
    }

    /// Ends the connection in good order: what was written is sent, then close_notify and FIN (seed
    /// `close`).
    ///
    /// Returns when that was handed to the kernel. Unread data of the peer is thrown away, within
    /// ``SocketLimits/shutdown``. A body that is being sent is cut off behind its present chunk.
    /// Closing a connection that is over does nothing: ``closed`` tells why it is.
    ///
    /// - Parameter reason: Shows in ``closed``.
    /// - Throws: ``SocketError`` when what was written, or the goodbye, could not be sent: the peer
    ///   has reset the connection, or does not read within ``SocketLimits/shutdown``, or the task was
    ///   cancelled. The connection is over then too.
    public func close(_ reason: String? = nil) async throws(SocketError) {
        try await connection.close(reason: reason)
    }

    /// Breaks the connection off with a reset, at once; whoever waits for it gets `.aborted`.
    ///
    /// - Parameter reason: Shows in ``closed``.
    public func abort(_ reason: String? = nil) {
        connection.abort(reason: reason)
    }

    // MARK: Receiving

    /// Whether the stream has a consumer: `stream()` was called or `onData` set (seed `locked`).
    public var locked: Bool { connection.state.withLock { $0.isLocked } }

    /// Takes the stream of what the peer sends, once (seed `stream()`).
    ///
    /// - Returns: Chunks as they come; the sequence ends when the peer ends its side.
    /// - Throws: ``SocketError`` `.locked` the second time.
    public func stream() throws(SocketError) -> SocketStream {
        try lock()
        return SocketStream(self)
    }

    /// Receives at most so many bytes.
    ///
    /// - Parameter limit: The most bytes, 1...65,536; larger limits count as that.
    /// - Returns: 1...`limit` bytes; nil at the end of the stream.
    /// - Throws: ``SocketError``, for example `.truncated` or `.peerReset`.
    public func read(upTo limit: Int = 65536) async throws(SocketError) -> [UInt8]? {
        try await connection.read(upTo: limit)
    }

    /// Receives into memory of the caller's: the path without allocations.
    ///
    /// - Parameter buffer: Receives bytes from its start; what is behind them stays as it was.
    /// - Returns: Bytes received, 1...`buffer.count`; 0 at the end of the stream.
    /// - Throws: ``SocketError``, for example `.truncated` or `.peerReset`.
    @inlinable
    public func read(into buffer: inout MutableSpan<UInt8>) async throws(SocketError) -> Int {
        try await inlinedRead(&buffer)
    }

    /// Receives into an array of the caller's.
    ///
    /// - Parameter buffer: Receives bytes from its start; its count does not change.
    /// - Returns: Bytes received, 1...`buffer.count`; 0 at the end of the stream.
    /// - Throws: ``SocketError``, for example `.truncated` or `.peerReset`.
    @inlinable
    public func read(into buffer: inout [UInt8]) async throws(SocketError) -> Int {
        var span = buffer.mutableSpan
        return try await inlinedRead(&span)
    }

    // MARK: Sending

    /// Sends bytes: the path without allocations.
    ///
    /// Returns when the kernel has taken all of them; that is the back-pressure. Writes of several
    /// tasks are sent one after the other, each whole. Up to 4 KiB of TLS, written on a loop that has
    /// other work, leave at the end of the loop's turn together with what others wrote: when that
    /// fails, the next call and `closed` tell.
    ///
    /// - Parameter bytes: What to send.
    /// - Throws: ``SocketError``; `.writeAfterEnd` when the sending side has ended or belongs to a
    ///   body.
    @inlinable
    public func write(_ bytes: Span<UInt8>) async throws(SocketError) {
        try await inlinedWrite(bytes)
    }

    /// Sends bytes.
    ///
    /// - Parameter bytes: What to send.
    /// - Throws: ``SocketError``; `.writeAfterEnd` when the sending side has ended or belongs to a
    ///   body.
    @inlinable
    public func write(_ bytes: [UInt8]) async throws(SocketError) {
        try await inlinedWrite(bytes.span)
    }

    /// Sends text in UTF-8.
    ///
    /// - Parameter text: What to send.
    /// - Throws: ``SocketError``; `.writeAfterEnd` when the sending side has ended or belongs to a
    ///   body.
    public func write(_ text: String) async throws(SocketError) {
        try await write(Array(text.utf8))
    }

    /// Ends the sending side and leaves the receiving side open: close_notify for TLS, FIN for TCP.
    ///
    /// - Throws: ``SocketError`` when the connection has failed.
    public func shutdownWrite() async throws(SocketError) {
        try refuseBesideBody()
        try await connection.shutdownWrite()
    }

    /// The event loop it lives on, for tasks that talk to it.
    ///
    /// A listener's handlers run there. A client's task that prefers it switches no threads:
    ///
    /// ```swift
    /// Task(executorPreference: socket.executor) { … }
    /// ```
    public var executor: any TaskExecutor { connection.loop }

    // MARK: Facts

    /// What is known about the connection; nil until it is ready (seed `info`).
    public var info: SocketInfo? { connection.info }

    /// What went over the connection so far (seed `stats`).
    public var stats: SocketStats { connection.stats }

    /// The TLS handshake's report, also while it runs and after it failed; nil without TLS.
    public var report: HandshakeReport? { connection.state.withLock { $0.engine?.report } }

    /// The peer's address, also while connecting and after a failure: the one that was tried last; nil
    /// before the name is resolved.
    public var remoteAddress: SocketAddress? { connection.state.withLock { $0.remote } }

    /// How long the steps to the connection took, also when one of them failed.
    public var timings: HandshakeTimings { connection.state.withLock { $0.timings } }

    // MARK: Inside

    /// Takes the one right to consume the stream.
    func lock() throws(SocketError) {
        let wasLocked = connection.state.withLock { s in
            defer { s.isLocked = true }
            return s.isLocked
        }
        guard !wasLocked else { throw SocketError(.locked) }
    }

    @inline(__always)
    func refuseBesideBody() throws(SocketError) {
        guard !connection.hasBody.load(ordering: .relaxed) else {
            throw SocketError(.writeAfterEnd, detail: "the socket sends its body")
        }
    }
}

extension Connection {
    var info: SocketInfo? {
        state.withLock { s in
            guard s.wasEstablished, let remote = s.remote, let local = s.local else { return nil }
            let report = s.isStartingTLS ? nil : s.engine?.report
            return SocketInfo(
                remote: remote,
                local: local,
                tls: report.map { TLSSocketInfo(report: $0, resumption: s.session(of: $0)) },
                timings: s.timings
            )
        }
    }

    var stats: SocketStats {
        state.withLock { $0.stats }
    }
}

extension Connection.Storage {
    var stats: SocketStats {
        var stats = SocketStats()
        stats.bytesSent = bytesSent
        stats.bytesReceived = bytesReceived
        let counted = descriptor >= 0 ? TCPStatistics.read(descriptor) : finalStatistics
        stats.packetsSent = counted?.segmentsSent ?? 0
        stats.packetsReceived = counted?.segmentsReceived ?? 0
        return stats
    }
}
