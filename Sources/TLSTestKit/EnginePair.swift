// Two engines back to back, without a network: what one produces, the other consumes.
//
// The wire between them is ours, so a test says how it is cut into pieces (one byte at a time gives
// the same result as one big piece, or a bug shows), changes bytes on their way, holds them back, or
// ends it in the middle.

public import TLSEngine

/// A client and a server engine joined in memory.
///
/// ```swift
/// let pair = try EnginePair(client: clientContext, server: serverContext, remoteName: "a.test")
/// try pair.handshake(chunk: 1)
/// try pair.send([1, 2, 3], from: .client)
/// ```
public final class EnginePair {
    /// Changes bytes on their way: gets the sender and a chunk, gives what arrives instead.
    ///
    /// An empty result holds the chunk back for good.
    public typealias Tamper = (_ sender: TLSRole, _ chunk: [UInt8]) -> [UInt8]

    /// One side: its engine, what is on the way to it, and what it has received.
    public struct Side: ~Copyable {
        /// The engine.
        public var engine: TLSEngine
        /// Ciphertext that has arrived and is not consumed.
        public var inbox: [UInt8] = []
        /// Plaintext received so far.
        public var received: [UInt8] = []
        /// The error that ended this side.
        public var error: TLSError?
        /// Whether its handshake is done.
        public var isReady = false
        /// Whether it has read the peer's close_notify.
        public var isAtEnd = false
    }

    /// The client's side.
    public var client: Side
    /// The server's side.
    public var server: Side
    /// The most bytes delivered at once; `Int.max` by default.
    public var chunk = Int.max
    /// The memory an engine gets for the ciphertext it produces in one step, 64 KiB by default; for
    /// ``send(_:from:)`` never less than that.
    public var outputCapacity = 65536
    /// The memory an engine gets for the plaintext of one step; 64 KiB by default.
    public var plaintextCapacity = 65536
    /// Answers the questions of both sides at once; a question it has no answer for waits for
    /// ``answer(_:_:)``, as all do without it.
    public var decide: ((_ role: TLSRole, _ question: TLSQuestion) -> TLSAnswer?)?
    /// Bytes delivered so far, by sender.
    public private(set) var delivered: [TLSRole: Int] = [.client: 0, .server: 0]

    private let tamper: Tamper?

    /// Joins two engines.
    ///
    /// - Parameters:
    ///   - client: The client's configuration.
    ///   - server: The server's configuration.
    ///   - remoteName: The name or IP address the client connects to.
    ///   - servername: The name the client sends; nil for the default, empty for none.
    ///   - session: What the client offers to resume.
    ///   - peer: Whom the client's sessions are bound to; nil is the remote name.
    ///   - tamper: Changes bytes on their way.
    /// - Throws: `TLSError` `.invalidServername`.
    public init(
        client: TLSContext,
        server: TLSContext,
        remoteName: String? = "localhost",
        servername: String? = nil,
        resuming session: TLSSession? = nil,
        peer: SessionPeer? = nil,
        tamper: Tamper? = nil
    ) throws(TLSError) {
        let clientEngine = try TLSEngine(
            client,
            remoteName: remoteName,
            servername: servername,
            resuming: session,
            peer: peer
        )
        let serverEngine = try TLSEngine(server)
        self.client = Side(engine: clientEngine)
        self.server = Side(engine: serverEngine)
        self.tamper = tamper
    }

    /// Runs both handshakes until both are done, one fails, or nothing moves any more.
    ///
    /// - Parameter chunk: The most bytes delivered at once.
    /// - Throws: The first error of either side, the client's when both have one.
    public func handshake(chunk: Int = .max) throws(TLSError) {
        self.chunk = chunk
        settle()
        if let error = client.error { throw error }
        if let error = server.error { throw error }
    }

    /// Lets both sides work until nothing moves; errors are kept with their side.
    public func settle() {
        var moved = true
        while moved {
            moved = step(.client)
            if step(.server) { moved = true }
        }
    }

    /// Encrypts and delivers data, and lets the receiver read it.
    ///
    /// - Throws: The error of the side that sends.
    public func send(_ bytes: [UInt8], from role: TLSRole) throws(TLSError) {
        var sent = 0
        while sent < bytes.count {
            let rest = sent
            let room = max(outputCapacity, 65536)
            let progress = try produce(role, room: room) { engine, output throws(TLSError) in
                try engine.send(bytes.span.extracting(rest..<bytes.count), producing: &output)
            }
            sent += progress.consumed
            settle()
        }
        settle()
    }

    /// Says close_notify on one side and lets the other read it.
    ///
    /// - Throws: The error of the side that closes.
    public func close(_ role: TLSRole) throws(TLSError) {
        var wants = TLSEngine.Wants.write
        while wants == .write {
            wants = try produce(role) { engine, output throws(TLSError) in
                try engine.close(producing: &output)
            }
            .wants
        }
        settle()
    }

    /// Ends the wire towards one side, as a FIN without close_notify does; what is on the way to it
    /// arrives before.
    public func endWire(towards role: TLSRole) {
        settle()
        withSide(role) { $0.engine.endOfInput() }
        work(role, consuming: [])
        settle()
    }

    /// Runs a step of one side's engine, and delivers what it produced.
    ///
    /// - Parameters:
    ///   - role: Whose engine.
    ///   - step: The step; called again while it wants room.
    /// - Throws: What the step throws, behind the delivery of what it produced.
    public func perform(
        _ role: TLSRole,
        _ step: (inout TLSEngine, inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress
    ) throws(TLSError) {
        defer { settle() }
        while try produce(role, step).wants == .write {}
    }

    /// The question that one side waits with; nil when it waits for nothing but bytes.
    public func question(_ role: TLSRole) -> TLSQuestion? { withSide(role) { $0.engine.question } }

    /// Answers the question of one side, and lets both go on.
    ///
    /// - Throws: `TLSError` `.unexpectedAnswer` when there is no question, or another one.
    public func answer(_ role: TLSRole, _ answer: TLSAnswer) throws(TLSError) {
        switch role {
        case .client: try client.engine.answer(answer)
        case .server: try server.engine.answer(answer)
        }
        work(role, consuming: [])
        settle()
    }

    /// Puts bytes of one's own on the wire towards one side.
    public func inject(_ bytes: [UInt8], towards role: TLSRole) {
        withSide(role) { $0.inbox += bytes }
        settle()
    }

    // MARK: Inside

    /// Delivers at most one chunk to one side; false when there was nothing to do.
    private func step(_ role: TLSRole) -> Bool {
        let chunk = chunk
        guard question(role) == nil else { return false }
        let input = withSide(role) { side in
            let count = min(chunk, side.inbox.count)
            let input = Array(side.inbox.prefix(count))
            side.inbox.removeFirst(count)
            return input
        }
        let mustBegin = role == .client && !hasBegun
        if mustBegin { hasBegun = true }
        guard !input.isEmpty || mustBegin else { return false }
        delivered[role == .client ? .server : .client, default: 0] += input.count
        work(role, consuming: input)
        return true
    }

    private var hasBegun = false

    /// Has one side's engine take input until it is used up or the engine has failed.
    private func work(_ role: TLSRole, consuming input: [UInt8]) {
        var consumed = 0
        while withSide(role, { $0.error == nil && !$0.isAtEnd }) {
            let rest = consumed
            let isReady = withSide(role) { $0.isReady }
            do throws(TLSError) {
                let progress = try produce(role) { engine, output throws(TLSError) in
                    let unread = input.span.extracting(rest..<input.count)
                    return isReady
                        ? try self.receive(role, &engine, unread, &output)
                        : try engine.handshake(consuming: unread, producing: &output)
                }
                consumed += progress.consumed
                if !isReady, progress.wants == .nothing { withSide(role) { $0.isReady = true } }
                if progress.wants == .closed { withSide(role) { $0.isAtEnd = true } }
                if progress.wants == .read, consumed == input.count { return }
                if progress.wants == .decision, !decideNow(role) {
                    let rest = input[consumed...]
                    return withSide(role) { $0.inbox.insert(contentsOf: rest, at: 0) }
                }
            } catch {
                withSide(role) { $0.error = error }
            }
        }
    }

    /// Answers the question of one side, if there is somebody who does.
    private func decideNow(_ role: TLSRole) -> Bool {
        guard let question = question(role), let answer = decide?(role, question) else {
            return false
        }
        do throws(TLSError) {
            switch role {
            case .client: try client.engine.answer(answer)
            case .server: try server.engine.answer(answer)
            }
        } catch {
            withSide(role) { $0.error = error }
        }
        return true
    }

    private func receive(
        _ role: TLSRole,
        _ engine: inout TLSEngine,
        _ ciphertext: Span<UInt8>,
        _ output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> TLSEngine.Progress {
        var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
        let plaintext = try [UInt8](capacity: plaintextCapacity) { plaintext throws(TLSError) in
            progress = try engine.receive(ciphertext, into: &plaintext, producing: &output)
        }
        arriving[role, default: []] += plaintext
        return progress
    }

    /// Plaintext of the step under way: the side itself is borrowed until the step ends.
    private var arriving: [TLSRole: [UInt8]] = [:]

    /// Runs a step of one side and puts what it produced on the wire, also when it throws.
    private func produce(
        _ role: TLSRole,
        room: Int? = nil,
        _ step: (inout TLSEngine, inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress
    ) throws(TLSError) -> TLSEngine.Progress {
        var result: Result<TLSEngine.Progress, TLSError>?
        let produced = [UInt8](capacity: room ?? outputCapacity) { output in
            do throws(TLSError) {
                switch role {
                case .client: result = .success(try step(&client.engine, &output))
                case .server: result = .success(try step(&server.engine, &output))
                }
            } catch {
                result = .failure(error)
            }
        }
        if let plaintext = arriving.removeValue(forKey: role) {
            withSide(role) { $0.received += plaintext }
        }
        if !produced.isEmpty {
            let arriving = tamper?(role, produced) ?? produced
            withSide(role == .client ? .server : .client) { $0.inbox += arriving }
        }
        guard let result else { preconditionFailure("a step ends with a result") }
        return try result.get()
    }

    @discardableResult
    private func withSide<Value>(_ role: TLSRole, _ body: (inout Side) -> Value) -> Value {
        switch role {
        case .client: body(&client)
        case .server: body(&server)
        }
    }
}
