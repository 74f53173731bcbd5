// A transport fault against a client engine in memory: the quickest way to see what a client makes of
// it. Time does not pass here, so silence shows as silence, and a reset as the end of the stream.

public import TLSEngine

/// What a client engine made of a transport fault in memory.
public struct FaultRehearsal: Sendable {
    /// Data that the client received.
    public private(set) var received: [UInt8] = []
    /// The error that ended it; nil when there was none.
    public private(set) var error: TLSError?
    /// Whether its handshake was completed.
    public private(set) var isReady = false
    /// Whether it has read close_notify.
    public private(set) var isAtEnd = false
    /// Whether the server reset the connection.
    public private(set) var isReset = false
    /// Where the client stands in the end.
    public private(set) var phase: HandshakePhase?

    /// Plays a fault against a client until nothing moves any more.
    ///
    /// - Parameters:
    ///   - fault: What the server does wrong.
    ///   - version: The version it speaks.
    ///   - certificate: What it presents.
    ///   - client: An engine that has done nothing yet.
    ///   - data: What the client sends once its handshake is done.
    ///   - greeting: What the server says before it is asked; nothing by default.
    ///   - chunk: The most bytes that arrive at once.
    /// - Throws: ``TestKitError`` when the server could not be made.
    public init(
        _ fault: TransportFault,
        _ version: ProtocolVersion,
        certificate: IssuedCertificate,
        client: consuming TLSEngine,
        sending data: [UInt8],
        greeting: [UInt8] = [],
        chunk: Int = .max
    ) throws(TestKitError) {
        let server = try FaultConversation(
            fault,
            version,
            certificate: certificate,
            greeting: greeting
        )
        var hasEnded = carry(server.begin())
        step(&client, [])
        while error == nil, !isAtEnd {
            if !towardsServer.isEmpty {
                let bytes = towardsServer
                towardsServer = []
                // A client that gave up says so with an alert, which ends the server too.
                if let actions = try? server.receive(bytes) {
                    hasEnded = carry(actions) || hasEnded
                }
            }
            if !towardsClient.isEmpty {
                let count = min(chunk, towardsClient.count)
                let bytes = Array(towardsClient.prefix(count))
                towardsClient.removeFirst(count)
                step(&client, bytes)
            } else if isReady, !hasSent {
                hasSent = true
                send(&client, data)
            } else if hasEnded {
                hasEnded = false
                client.endOfInput()
                step(&client, [])
            } else if towardsServer.isEmpty {
                break
            }
        }
        phase = client.phase
    }

    // MARK: Inside

    private var towardsClient: [UInt8] = []
    private var towardsServer: [UInt8] = []
    private var hasSent = false

    /// Does what the server says; true when its stream has ended.
    private mutating func carry(_ actions: [FaultConversation.Action]) -> Bool {
        var hasEnded = false
        for action in actions {
            switch action {
            case .send(let bytes): towardsClient += bytes
            case .end: hasEnded = true
            case .reset: (hasEnded, isReset) = (true, true)
            }
        }
        return hasEnded
    }

    /// Has the client take bytes until it wants others.
    private mutating func step(_ client: inout TLSEngine, _ bytes: [UInt8]) {
        var consumed = 0
        while error == nil, !isAtEnd {
            let rest = consumed
            let wasReady = isReady
            var plaintext: [UInt8] = []
            let progress = produce { output throws(TLSError) in
                let unread = bytes.span.extracting(rest..<bytes.count)
                guard wasReady else {
                    return try client.handshake(consuming: unread, producing: &output)
                }
                var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
                plaintext = try [UInt8](capacity: 65536) { room throws(TLSError) in
                    progress = try client.receive(unread, into: &room, producing: &output)
                }
                return progress
            }
            received += plaintext
            guard let progress else { return }
            consumed += progress.consumed
            switch progress.wants {
            case .nothing: isReady = true
            case .closed: isAtEnd = true
            case .read where consumed == bytes.count: return
            case .read, .write: continue
            // A client that asks its owner has none here.
            case .decision: return
            }
            if !wasReady, consumed == bytes.count { return }
        }
    }

    private mutating func send(_ client: inout TLSEngine, _ data: [UInt8]) {
        _ = produce { output throws(TLSError) in
            try client.send(data.span, producing: &output)
        }
    }

    /// Runs a step, and puts what it produced on the way, also when it throws.
    private mutating func produce(
        _ step: (inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress
    ) -> TLSEngine.Progress? {
        var progress: TLSEngine.Progress?
        var failure: TLSError?
        towardsServer += [UInt8](capacity: 65536) { output in
            do throws(TLSError) {
                progress = try step(&output)
            } catch {
                failure = error
            }
        }
        error = failure
        return progress
    }
}
