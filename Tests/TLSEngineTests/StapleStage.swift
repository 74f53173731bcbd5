// A client that is shown certificates, staples and lists by the kit's server, which staples whatever
// it is told to.

import TLSEngine
import TLSTestKit
import Testing

/// What a server presents and a client knows; the authority's clock stands still.
struct StapleStage {
    let root: TestCA
    var issuer: TestCA
    var certificate: IssuedCertificate
    var staple: OCSPAnswer?
    var trust: TrustPolicy
    var version = ProtocolVersion.tls13
    var limits = TLSLimits()
    /// Whether the client asks even where its policy does not.
    var asks = true
    /// Changes what the server sends.
    var tamper: ([UInt8]) -> [UInt8] = { $0 }

    /// A leaf of a root, and trust in the root at its time.
    init(key: TestKey = .p256, _ change: (inout CertificateRecipe) -> Void = { _ in }) throws {
        let root = try TestCA(key: key, clock: ManualClock())
        try self.init(root: root, issuer: root, change)
    }

    /// A leaf of any authority below a root.
    init(
        root: TestCA,
        issuer: TestCA,
        _ change: (inout CertificateRecipe) -> Void = { _ in }
    ) throws {
        self.root = root
        self.issuer = issuer
        var recipe = CertificateRecipe.server(["a.test"])
        change(&recipe)
        certificate = try issuer.issue(recipe)
        trust = TrustPolicy(anchors: [try Certificate(der: root.rootDER)])
        trust.verificationTime = UnixTime(seconds: ManualClock.defaultUnixSeconds)
    }

    /// The authority's time plus some seconds.
    mutating func verify(after seconds: Int64) {
        trust.verificationTime = UnixTime(seconds: ManualClock.defaultUnixSeconds + seconds)
    }

    /// Staples a response, good unless the closure changes it.
    mutating func answer(
        _ status: OCSPStatus = .good,
        digest: OCSPCertificateID.Digest = .sha1,
        by authority: TestCA? = nil,
        _ change: (inout OCSPAnswerRecipe) throws -> Void = { _ in }
    ) throws {
        let id = try OCSPCertificateID(of: certificate, issuedBy: issuer, digest: digest)
        var recipe = OCSPAnswerRecipe([.init(id, status)])
        try change(&recipe)
        staple = try (authority ?? issuer).ocspAnswer(recipe)
    }

    /// Gives the client lists.
    mutating func know(_ lists: RevocationList...) throws {
        trust.revocation.lists = try lists.map { try CertificateRevocationList(der: $0.der) }
    }

    /// Shakes hands in memory.
    ///
    /// - Returns: The client's report, with its error.
    func meet() throws -> HandshakeReport {
        let policy = TLSPolicy {
            $0.allowOnly(version)
            $0.requestsOCSPStaple = asks
            $0.limits = limits
        }
        let context = try TLSContext(role: .client, policy: policy, trust: trust)
        var client = try TLSEngine(context, remoteName: "a.test")
        var server = try UncheckedServer(
            certificate,
            versions: version...version,
            staple: staple
        )
        var input: [UInt8] = []
        // A handshake has a handful of flights; what goes on for longer has hung.
        for _ in 0..<16 {
            let (output, result) = produced { (output) throws(TLSError) in
                try client.handshake(consuming: input.span, producing: &output)
            }
            input = tamper(server.receive(output))
            guard let progress = try? result.get(), progress.wants == .read else { break }
        }
        return client.report
    }

    /// Why the client refuses; nil when it connects.
    func refusal() throws -> VerificationCode? {
        let report = try meet()
        guard let failure = report.error?.verification else {
            #expect(report.isComplete, "\(String(describing: report.error))")
            return nil
        }
        #expect(report.error?.hint != nil, "\(failure)")
        return failure.code
    }
}
