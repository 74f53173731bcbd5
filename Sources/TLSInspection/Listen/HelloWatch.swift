// Listens, reads each connection's ClientHello and nothing more of TLS, tells about it, and carries the
// untouched bytes to a backend if there is a map. What a connection holds while it is carried is one chunk
// in each direction; the time for a hello, its size, and how many connections there are have limits.

public import Sockets
import Synchronization

/// What to listen on, and what to do with connections.
public struct WatchOptions: Sendable {
    /// The forms of the PROXY protocol.
    public enum ProxyForm: String, CaseIterable, Hashable, Sendable { case v1, v2 }

    /// Where to listen.
    public var local: SocketAddress
    /// Where connections go; nil answers each with an alert.
    public var routes: RouteMap?
    /// What backends are told in front of a connection about the client; nil is nothing.
    public var proxy: ProxyForm?
    /// Time for a hello, and for connecting to a backend.
    public var timeout: Duration = .seconds(10)
    /// Ends a connection on which nothing moves for so long; nil never does.
    public var idle: Duration? = .seconds(3600)
    /// The most bytes of records that a hello may take.
    public var limit = 64 << 10
    /// Connections at once; beyond it they wait in the kernel.
    public var connections = 10_000

    /// Makes options.
    public init(local: SocketAddress) { self.local = local }
}

/// Watches what clients say first.
public final class HelloWatch: Sendable {
    private let options: WatchOptions
    private let listener: SocketListener
    private let tally: Mutex<HelloTally>
    private let start: UnixTime
    private let clock = ContinuousClock()
    private let startInstant: ContinuousClock.Instant

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - options: Where, and what to do.
    ///   - now: What time it is.
    /// - Throws: ``SocketError`` when it cannot listen there.
    public init(_ options: WatchOptions, now: UnixTime) throws(SocketError) {
        self.options = options
        var dictionary = SocketListenerInit(local: options.local)
        dictionary.idleTimeout = options.idle
        listener = try SocketListener(dictionary)
        tally = Mutex(HelloTally(local: listener.localAddress.description))
        start = now
        startInstant = clock.now
    }

    /// Where it listens.
    public var localAddress: SocketAddress { listener.localAddress }

    /// What came so far.
    public var summary: ListenSummary { tally.withLock { $0.finished } }

    /// Serves until the task is cancelled; then every connection is broken off.
    ///
    /// - Parameter tell: Is given each connection when its beginning is known and, if it is sent
    ///   somewhere, the backend has taken it or not; must not block.
    /// - Throws: ``SocketError`` when the listener fails.
    public func run(tell: @escaping @Sendable (HelloRecord) -> Void) async throws(SocketError) {
        try await listener.serve(maxConcurrent: options.connections) { socket in
            await self.handle(socket, tell)
        }
    }

    // MARK: One connection

    private func handle(_ socket: Socket, _ tell: @Sendable (HelloRecord) -> Void) async {
        var record = HelloRecord(
            time: timeText(clock.now - startInstant),
            remote: socket.remoteAddress?.description ?? "?"
        )
        var peek = HelloPeek(limit: options.limit)
        guard let hello = await hello(of: socket, &peek, &record) else {
            if !Task.isCancelled { show(record, tell) }
            return
        }
        record.note(hello)
        guard let routes = options.routes else {
            show(record, tell)
            return await refuse(socket, .handshakeFailure)
        }
        guard let route = routes.route(of: hello) else {
            record.error = "no route"
            show(record, tell)
            return await refuse(socket, .unrecognizedName)
        }
        record.route = route.key.description
        record.backend = route.backend.description
        do throws(SocketError) {
            let backend = try await connect(to: route.backend)
            // A second end changes nothing.
            defer { backend.abort() }
            let preface = proxyHeader(of: socket, hello)?.bytes ?? []
            try await backend.write(preface + peek.bytes)
            show(record, tell)
            // It is empty from here on for as long as the connection lasts.
            peek = HelloPeek(limit: 0)
            await carry(socket, backend)
            // What the kernel still has for the backend is to arrive.
            try await backend.close()
        } catch {
            guard !Task.isCancelled, !peek.bytes.isEmpty else { return }
            record.error = error.description
            show(record, tell)
            await refuse(socket, .internalError)
        }
    }

    /// Reads until the hello is whole; else says in the record why there is none.
    private func hello(
        of socket: Socket,
        _ peek: inout HelloPeek,
        _ record: inout HelloRecord
    ) async -> ClientHello? {
        let began = clock.now
        let timeout = options.timeout
        let timer = Task {
            try await Task.sleep(for: timeout)
            socket.abort("no ClientHello in time")
        }
        defer {
            timer.cancel()
            record.received = peek.bytes.count
        }
        do {
            while let piece = try await socket.read() {
                if let hello = try peek.take(piece) { return hello }
            }
            record.error = "the end came before a ClientHello"
        } catch let error as TLSError {
            switch error.code {
            case .notTLS: record.result = .notTLS
            case .clientHelloTooLarge: record.result = .tooLarge
            default: record.result = .malformed
            }
            record.error = error.detail ?? error.description
            if record.result == .malformed { await refuse(socket, .decodeError) }
        } catch {
            record.result = clock.now - began >= timeout ? .timeout : .closed
            record.error =
                record.result == .timeout ? "no ClientHello in time" : "\(error)"
        }
        if !peek.bytes.isEmpty { record.beginning = escaped(peek.bytes.prefix(64)) }
        return nil
    }

    private func connect(to address: SocketAddress) async throws(SocketError) -> Socket {
        let backend = try Socket(
            SocketInit(type: .tcp, remote: address) {
                $0.noDelay = true
                $0.connectionTimeout = options.timeout
                $0.limits.connectAttempt = options.timeout
                $0.idleTimeout = options.idle
            }
        )
        _ = try await backend.ready
        return backend
    }

    private func proxyHeader(of socket: Socket, _ hello: ClientHello) -> ProxyHeader? {
        guard let form = options.proxy else { return nil }
        var header = ProxyHeader(
            form == .v1 ? .v1 : .v2,
            source: socket.remoteAddress,
            destination: socket.info?.local
        )
        // What was offered is told only where there is no choice: the attribute is one protocol.
        if hello.alpn.count == 1, let alpn = hello.alpn.first {
            header.attributes.append(.init(ProxyHeader.Attribute.alpn, Array(alpn.utf8)))
        }
        if let name = hello.servername {
            header.attributes.append(.init(ProxyHeader.Attribute.authority, Array(name.utf8)))
        }
        return header
    }

    /// Carries both directions until both have ended, or one is cut off.
    private func carry(_ client: Socket, _ backend: Socket) async {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await Self.pump(client, to: backend) }
            group.addTask { await Self.pump(backend, to: client) }
            for await isWhole in group where !isWhole {
                client.abort()
                backend.abort()
            }
        }
    }

    /// Carries one direction to its end; false when it is cut off.
    private static func pump(_ source: Socket, to sink: Socket) async -> Bool {
        do throws(SocketError) {
            while let bytes = try await source.read() { try await sink.write(bytes) }
            try await sink.shutdownWrite()
            return true
        } catch {
            return false
        }
    }

    /// Says why nothing follows, in a record that every version reads (RFC 8446 §6.2).
    private func refuse(_ socket: Socket, _ alert: Alert) async {
        try? await socket.write([21, 3, 1, 0, 2, 2, alert.code])
    }

    // MARK: Telling

    private func show(_ record: HelloRecord, _ tell: (HelloRecord) -> Void) {
        tally.withLock { $0.note(record, isForwarding: options.routes != nil) }
        tell(record)
    }

    /// When something happens, so long after the start.
    private func timeText(_ elapsed: Duration) -> String {
        let (seconds, fraction) = elapsed.components
        let whole = UnixTime(seconds: start.seconds + seconds).description
        let thousandths = String(1000 + fraction / 1_000_000_000_000_000).dropFirst()
        return whole.dropLast() + ".\(thousandths)Z"
    }
}
