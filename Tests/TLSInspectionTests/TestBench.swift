// What the tests inspect: servers in this process, with certificates of an authority of their own
// whose clock stands still, and the probes of them. Every report that is made here is held against
// the published schema.

import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

/// When the tests take place.
let testTime = UnixTime(seconds: ManualClock.defaultUnixSeconds)

/// An authority and what it issues.
struct TestBench: Sendable {
    let root: TestCA
    let intermediate: TestCA
    let now: UnixTime

    /// Makes an authority.
    ///
    /// - Parameter now: Its time; child processes know only the real one.
    /// - Throws: What the kit throws.
    init(now: UnixTime = testTime) throws {
        let seconds = now.seconds
        self.now = now
        root = try TestCA(validity: .days(-400...400)) { seconds }
        intermediate = try root.intermediate(pathLength: 0, validity: .days(-400...400))
    }

    /// A certificate that has months left.
    static var lasting: CertificateRecipe {
        var recipe = CertificateRecipe.server(["a.test", "*.b.test", "127.0.0.1", "::1"])
        recipe.validity = .days(-1...90)
        return recipe
    }

    /// The root as an anchor.
    var anchors: TrustPolicy.Anchors {
        get throws { .certificates([try Certificate(der: root.certificateDER)]) }
    }

    /// A certificate with its key as a server or client takes it.
    func identity(_ recipe: CertificateRecipe, alsoSending extra: [TestCA] = []) throws
        -> TLSIdentity
    {
        let issued = try intermediate.issue(recipe)
        let chain = issued.chainPEM + extra.map(\.certificatePEM).joined()
        return try TLSIdentity(
            certificate: Array(chain.utf8),
            privateKey: Array(issued.privateKeyPEM.utf8)
        )
    }

    /// A TLS listener's dictionary.
    func listener(
        _ recipe: CertificateRecipe = .server(["a.test", "*.b.test", "127.0.0.1", "::1"]),
        local: String = "127.0.0.1",
        _ configure: (inout SocketListenerInit) throws -> Void = { _ in }
    ) throws -> SocketListenerInit {
        let address = SocketAddress(local, port: 0)
        var options = try SocketListenerInit(type: .tls, local: address, identity: identity(recipe))
        options.alpn = ["h2", "http/1.1"]
        // The library's own choice is another one with each of its minor versions.
        options.ecdhCurve = "X25519:P-256"
        try configure(&options)
        return options
    }

    /// A listener's dictionary that demands certificates of this authority.
    func demandingListener(
        _ demand: ClientAuthentication = .require,
        newest: ProtocolVersion = .tls13
    ) throws -> SocketListenerInit {
        try listener {
            $0.clientAuthentication = demand
            $0.trust.anchors = try anchors
            $0.trust.verificationTime = now
            $0.maximumVersion = newest
        }
    }

    /// Starts a server, probes it once, and stops it.
    ///
    /// - Parameters:
    ///   - options: The server.
    ///   - target: Whom to ask for.
    ///   - failOn: The lightest finding that shows in the exit code.
    ///   - configure: Changes the probe.
    /// - Returns: The report, which is what the schema says.
    /// - Throws: What starting the server throws.
    func inspect(
        _ options: SocketListenerInit,
        as target: String = "a.test",
        failOn: Severity = .bad,
        _ configure: (inout Probe) throws -> Void = { _ in }
    ) async throws -> InspectionReport {
        try await withServer(options) { address in
            let probe = try Probe(SocketAddress(target, port: address.port)) {
                $0.connect = address
                $0.anchors = try anchors
                // The tests that only compute take both processors for seconds.
                $0.timeout = .seconds(60)
                try configure(&$0)
            }
            return try checked(await Inspector(now: now, failOn: failOn).run(probe))
        }
    }
}

/// Makes sure that a report is what the schema says, and that reading its JSON gives it back.
func checked(_ report: InspectionReport) throws -> InspectionReport {
    let text = JSONLine.text(of: report)
    #expect(try JSONSchema.inspector().faults(of: JSONValue(parsing: text)) == [])
    #expect(try JSONDecoder().decode(InspectionReport.self, from: Data(text.utf8)) == report)
    return report
}

/// Runs a server while a closure runs.
func withServer<Result: Sendable>(
    _ options: SocketListenerInit,
    serving handler: @escaping @Sendable (Socket) async throws -> Void = readToEnd,
    _ body: (SocketAddress) async throws -> Result
) async throws -> Result {
    var options = options
    if options.limits == SocketLimits() { options.limits.handshake = .seconds(60) }
    // Loops are shared with other tests, whose connections come first while many shake hands.
    options.admission.queueTime = .seconds(60)
    return try await withListener(options) { listener in
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.serve(handler) }
            let result = try await body(listener.localAddress)
            await listener.close()
            try await group.waitForAll()
            return result
        }
    }
}

/// Takes what comes and says nothing.
@Sendable
func readToEnd(_ socket: Socket) async throws {
    for try await _ in try socket.stream() {}
}

/// Waits until something is so, and leaves the processor to others meanwhile.
func until(_ isSo: () throws -> Bool) async throws {
    while try !isSo() {
        try Task.checkCancellation()
        let (waits, feed) = AsyncStream.makeStream(of: Void.self)
        let signal = AbortSignal.timeout(.milliseconds(5))
        signal.onAbort { _ in feed.finish() }
        for await _ in waits {}
        // A signal that is dropped is never given.
        withExtendedLifetime(signal) {}
    }
}

extension InspectionReport {
    /// The ids of the findings, in order.
    var findingIDs: [String] { findings.map(\.id) }
}

extension JSONSchema {
    /// The schema that is published.
    static func inspector() throws -> JSONSchema { try reading.get() }

    /// Read once: every report of every test is held against it.
    private static let reading = Result { try published(for: "tlsinspect") }
}
