// Connections as spans of swift-distributed-tracing, with attributes by OpenTelemetry's conventions. The
// parent is the task's current span; within a server's handler its connection's span is the current one.

#if Tracing
import ObservedFacts
public import Sockets
public import Tracing

/// Makes spans of connections.
///
/// ```swift
/// let socket = try await ConnectionTracer().connect(options)
/// ```
///
/// ```swift
/// try await listener.serve { socket in
///     try await ConnectionTracer().handle(socket) { span in … }
/// }
/// ```
public struct ConnectionTracer: Sendable {
    private let given: (any Tracer)?

    /// Makes a maker of spans.
    ///
    /// - Parameter tracer: Where spans go; nil is the process's.
    public init(_ tracer: (any Tracer)? = nil) {
        given = tracer
    }

    private var tracer: any Tracer { given ?? InstrumentationSystem.tracer }

    // MARK: Clients

    /// Connects within a span, which ends when data can flow.
    ///
    /// Looking the name up, opening the connection and the handshake are spans within it.
    ///
    /// - Parameter options: What to connect to, and how.
    /// - Returns: A socket that is ready.
    /// - Throws: ``/Sockets/SocketError`` of connecting; the span has it, too.
    public func connect(_ options: SocketInit) async throws(SocketError) -> Socket {
        let span = start(tracer, "connect", .client)
        defer { span.end() }
        span.add { facts in
            facts.add("server.address", options.remote.address)
            if options.remote.port > 0 { facts.add("server.port", Int(options.remote.port)) }
        }
        do throws(SocketError) {
            let socket = try Socket(options)
            await followSteps(of: socket, span)
            _ = try await socket.ready
            span.add { facts in
                facts.add(peer: socket.remoteAddress)
                if let report = socket.report { facts.add(report) }
            }
            return socket
        } catch {
            span.fail(error)
            throw error
        }
    }

    /// Makes a span of each step until data flows or the connection has ended.
    private func followSteps(of socket: Socket, _ span: any Span) async {
        var step: (any Span)?
        defer { step?.end() }
        for await event in socket.events {
            switch event {
            case .stateChanged(let state):
                step?.end()
                step = nil
                guard let name = state.step else { return }
                step = start(tracer, name, .client, under: span)
                step?.add { $0.add(peer: socket.remoteAddress) }
            case .attemptFailed(let error):
                span.addEvent(SpanEvent(name: "attempt failed: \(error.code)"))
            case .handshakeDone(let report, _): step?.add { $0.add(report) }
            case .handshakeFailed(let error): step?.fail(error)
            case .alertReceived(let alert, _):
                step?.addEvent(SpanEvent(name: "alert received: \(alert.name)"))
            case .alertSent(let alert, _):
                step?.addEvent(SpanEvent(name: "alert sent: \(alert.name)"))
            default: break
            }
        }
    }

    // MARK: Servers

    /// Runs what a server does with a connection within a span, which is the current one there.
    ///
    /// The span begins where the handshake did, and has it as a span within.
    ///
    /// - Parameters:
    ///   - socket: A socket that a listener delivered.
    ///   - body: Gets the span, for attributes of its own.
    /// - Returns: What the closure returns.
    /// - Throws: What the closure throws; the span has it, too.
    public func handle<Result>(
        _ socket: Socket,
        _ body: (any Span) async throws -> Result
    ) async throws -> Result {
        try await handle(tracer, socket, body)
    }

    private func handle<Result>(
        _ tracer: some Tracer,
        _ socket: Socket,
        _ body: (any Span) async throws -> Result
    ) async throws -> Result {
        let now = DefaultTracerClock.now
        let began = now.before(socket.timings.handshake ?? .zero)
        return try await tracer.withSpan("connection", ofKind: .server, at: began) { span in
            span.add { facts in
                facts.add(peer: socket.remoteAddress)
                facts.add("network.local.address", socket.info?.local.address)
                if let port = socket.info?.local.port, port > 0 {
                    facts.add("network.local.port", Int(port))
                }
            }
            if let report = socket.report {
                let handshake = start(tracer, "TLS handshake", .server, under: span, at: began)
                handshake.add { $0.add(report) }
                handshake.end(at: now)
                span.add { $0.add(report) }
            }
            defer {
                span.add { facts in
                    facts.add("sockets.bytes.sent", socket.stats.bytesSent)
                    facts.add("sockets.bytes.received", socket.stats.bytesReceived)
                }
            }
            do {
                return try await body(span)
            } catch {
                span.setStatus(SpanStatus(code: .error))
                if let error = error as? SocketError { span.add { $0.add(error) } }
                throw error
            }
        }
    }

    // MARK: Spans

    private func start(_ tracer: some Tracer, _ name: String, _ kind: SpanKind) -> any Span {
        tracer.startSpan(name, ofKind: kind)
    }

    private func start(
        _ tracer: some Tracer,
        _ name: String,
        _ kind: SpanKind,
        under parent: some Span,
        at instant: DefaultTracerClock.Timestamp = DefaultTracerClock.now
    ) -> any Span {
        tracer.startSpan(name, context: parent.context, ofKind: kind, at: instant)
    }
}

extension ConnectionState {
    /// What the step of a client is called while it is in this state; nil where none is.
    fileprivate var step: String? {
        switch self {
        case .resolving: "DNS lookup"
        case .connecting: "TCP connect"
        case .handshaking: "TLS handshake"
        default: nil
        }
    }
}

extension Span {
    fileprivate func add(_ gather: (inout ObservedFacts) -> Void) {
        guard isRecording else { return }
        var facts = ObservedFacts()
        gather(&facts)
        updateAttributes { attributes in
            for (name, value) in facts.values { attributes[name] = value.attribute }
        }
    }

    fileprivate func fail(_ error: SocketError) {
        recordError(error)
        setStatus(SpanStatus(code: .error, message: "\(error.code)"))
        add { $0.add(error) }
    }
}

extension ObservedValue {
    fileprivate var attribute: SpanAttribute {
        switch self {
        case .text(let text): .string(text)
        case .number(let number): .int64(Int64(number))
        case .truth(let truth): .bool(truth)
        }
    }
}

extension DefaultTracerClock.Timestamp {
    /// The moment so long before this one.
    fileprivate func before(_ duration: Duration) -> Self {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = UInt64(clamping: seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000)
        return Self(
            nanosecondsSinceEpoch: nanosecondsSinceEpoch - min(nanoseconds, nanosecondsSinceEpoch)
        )
    }
}
#endif
