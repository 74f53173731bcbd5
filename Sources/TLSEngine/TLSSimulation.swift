// Would these two understand each other? Both sides of a handshake in memory, without a network, and
// an explanation: what was agreed on, or what they have no overlap in.
//
// What a side can do is not guessed from names in its policy: the client's ClientHello says it, and
// for a server the hello of a client that is made from its policy.

/// A handshake of two configurations, run in memory.
///
/// ```swift
/// let simulation = try TLSSimulation(client: mine, server: theirs, remoteName: "a.example")
/// if !simulation.succeeds { print(simulation.explanation) }
/// ```
///
/// Certificates are judged at the time of the trust policies, or now. Nothing is looked up: what only
/// the network knows, such as a staple that a server would fetch, plays no part.
public struct TLSSimulation: Sendable {
    /// What the client saw and did.
    public let client: HandshakeReport
    /// What the server saw and did; of the virtual host that answered, if one did.
    public let server: HandshakeReport
    /// What the two have no overlap in, most telling first; empty when the handshake succeeds.
    public let clashes: [Clash]

    /// Runs the handshake.
    ///
    /// - Parameters:
    ///   - client: The client's configuration.
    ///   - server: The server's configuration, with its virtual hosts.
    ///   - remoteName: The name or IP address the client connects to.
    ///   - servername: The name the client sends; nil for the default, empty for none.
    ///   - decide: Answers questions in the owners' place; by default a server is checked by its name,
    ///     and everything else goes as it is configured.
    /// - Throws: ``TLSError`` `.invalidServername`; failures of the handshake stand in the reports.
    public init(
        client: TLSContext,
        server: TLSContext,
        remoteName: String? = nil,
        servername: String? = nil,
        decide: (TLSRole, TLSQuestion) -> TLSAnswer = TLSSimulation.usualAnswer
    ) throws(TLSError) {
        var first = Side(try TLSEngine(client, remoteName: remoteName, servername: servername))
        var second = Side(try TLSEngine(server))
        var hello: [UInt8] = []
        // Bounded: a handshake has few flights, and both sides limit what they take.
        for _ in 0..<TLSSimulation.roundsMax {
            let said = first.step(decide)
            if hello.isEmpty { hello = said }
            second.inbox += said
            let answered = second.step(decide)
            first.inbox += answered
            if said.isEmpty, answered.isEmpty { break }
        }
        self.client = first.engine.report
        self.server = second.engine.report
        let answering = second.engine.context
        let isWell = self.client.error == nil && self.server.error == nil
        guard !isWell || !self.client.isComplete || !self.server.isComplete else {
            clashes = []
            return
        }
        clashes = TLSSimulation.clashes(
            (self.client, client),
            (self.server, answering),
            try? ClientHello(reading: hello, limit: .max)
        )
    }

    /// Whether the handshake succeeds.
    public var succeeds: Bool { clashes.isEmpty }

    /// One sentence: what was agreed on, or what stands in the way.
    public var explanation: String {
        guard clashes.isEmpty else { return clashes.map(\.description).joined(separator: "; ") }
        var words = [client.version?.description, client.cipherSuite?.standardName].compactMap(
            \.self
        )
        if let group = client.group { words.append("key exchange on \(group)") }
        if let peer = client.peerChain.first { words.append("the server shows \(peer.shortName)") }
        if let peer = server.peerChain.first { words.append("the client shows \(peer.shortName)") }
        words.append(
            client.alpn.map { "they speak \($0)" } ?? "no application protocol is agreed on"
        )
        return words.joined(separator: ", ")
    }

    /// The answer of owners who do as without decisions of their own.
    public static func usualAnswer(_ role: TLSRole, _ question: TLSQuestion) -> TLSAnswer {
        guard case .serverIdentity(let identity) = question else { return .accept }
        do throws(TLSError) {
            try identity.check()
            return .accept
        } catch {
            return .refuse(TLSRefusal(error))
        }
    }

    private static let roundsMax = 64

    /// One side: its engine, and what is on the way to it.
    private struct Side: ~Copyable {
        var engine: TLSEngine
        var inbox: [UInt8] = []
        var isReady = false
        var isOver = false

        init(_ engine: consuming TLSEngine) { self.engine = engine }

        /// Takes what has come as far as it goes.
        ///
        /// - Returns: What it says.
        mutating func step(_ decide: (TLSRole, TLSQuestion) -> TLSAnswer) -> [UInt8] {
            var said: [UInt8] = []
            while !isOver {
                var wants: TLSEngine.Wants?
                said += [UInt8](capacity: 1 << 16) { output in
                    wants = take(&output)
                }
                switch wants {
                case nil, .closed: isOver = true
                case .read: return said
                case .nothing where inbox.isEmpty: return said
                case .nothing, .write: continue
                case .decision: decideNow(decide)
                }
            }
            return said
        }

        private mutating func decideNow(_ decide: (TLSRole, TLSQuestion) -> TLSAnswer) {
            guard let question = engine.question else { return }
            do throws(TLSError) {
                try engine.answer(decide(engine.context.role, question))
            } catch {
                // An answer that does not fit would be asked for for ever.
                isOver = (try? engine.answer(.refuse(TLSRefusal(error)))) == nil
            }
        }

        /// Has the engine take the inbox; nil when it has failed.
        private mutating func take(_ output: inout OutputSpan<UInt8>) -> TLSEngine.Wants? {
            let input = inbox
            do throws(TLSError) {
                let progress =
                    isReady
                    ? try receive(input, &output)
                    : try engine.handshake(consuming: input.span, producing: &output)
                inbox.removeFirst(progress.consumed)
                if progress.wants == .nothing { isReady = true }
                return progress.wants
            } catch {
                return nil
            }
        }

        private mutating func receive(
            _ input: [UInt8],
            _ output: inout OutputSpan<UInt8>
        ) throws(TLSError) -> TLSEngine.Progress {
            var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
            _ = try [UInt8](capacity: 1 << 14) { plaintext throws(TLSError) in
                progress = try engine.receive(input.span, into: &plaintext, producing: &output)
            }
            return progress
        }
    }
}

extension TLSSimulation: CustomStringConvertible {
    /// The explanation.
    public var description: String { explanation }
}
