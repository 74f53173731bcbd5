// The catalogue: every way a server's certificate or chain can be wrong, odd, or odd and yet right,
// with what OpenSSL says and what a client of this package must do. The faults themselves stand in
// the files `CertificateFault+….swift`, by topic; a new one is a constant there and a place in the
// list of its file.

public import TLSEngine

/// One way a server's certificate or chain can be wrong or odd, and what a client must make of it.
///
/// ```swift
/// @Test(arguments: CertificateFault.allCases)
/// func judges(_ fault: CertificateFault) async throws {
///     let scenario = try fault.scenario(under: TestCA())
///     …  // present scenario.certificate, connect to scenario.host, expect fault.verdict
/// }
/// ```
public struct CertificateFault: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// What a client must do.
    public enum Verdict: Sendable, Hashable, CustomStringConvertible {
        /// Connect: odd or old, and legal.
        case accepted
        /// Refuse the certificate at this depth, 0 being the leaf, for this reason.
        case refused(VerificationCode, depth: Int = 0)
        /// End the handshake for another reason than the verdict on a chain.
        case handshakeFailed(TLSError.Code)

        /// The verdict in words.
        public var description: String {
            switch self {
            case .accepted: "accepted"
            case .refused(let code, let depth):
                "refused: \(code.words) (\(code.rawValue))" + (depth > 0 ? ", depth \(depth)" : "")
            case .handshakeFailed(let code): "handshake failed: \(code.rawValue)"
            }
        }
    }

    /// The fault's name, unique among ``allCases``.
    public let name: String
    /// What is wrong or odd, in a few words.
    public let summary: String
    /// What `X509_verify_cert` answers (`X509_V_ERR_…`, 0 for trust) when it trusts the scenario's
    /// anchors, wants a TLS server of the scenario's host at the scenario's time, never looks for
    /// the name in the subject, reads RFC 5280 strictly, and demands security level 2.
    public let verifyCode: Int32
    /// What a client of this package does by default.
    public let verdict: Verdict
    /// The protocol versions in which a server can present it; both but for keys that TLS 1.3 has no
    /// signatures of, or that OpenSSL's TLS 1.2 server does not use.
    public let versions: [ProtocolVersion]
    private let make: @Sendable (FaultStage) throws(TestKitError) -> FaultScenario

    /// Makes everything that a test of this fault needs.
    ///
    /// - Parameters:
    ///   - authority: A correct root; some faults bring another one with them.
    ///   - host: The DNS name, of at least two labels, that a correct certificate would be for. Faults
    ///     about names choose names below it, or an address of the loopback interface.
    /// - Returns: What to present, what to trust, and what to connect to.
    /// - Throws: ``TestKitError`` `.openSSL`, or `.invalidRecipe` if the authority is no root.
    public func scenario(
        under authority: TestCA,
        host: String = "a.test"
    ) throws(TestKitError) -> FaultScenario {
        guard authority.certificateDER == authority.rootDER else {
            throw TestKitError(.invalidRecipe, "a fault needs a root to be made under")
        }
        var scenario = try make(FaultStage(root: authority.stopped, host: host))
        scenario.versions = (versions.min() ?? .tls12)...(versions.max() ?? .tls13)
        return scenario
    }

    /// The name.
    public var description: String { name }

    /// Compares names.
    public static func == (left: Self, right: Self) -> Bool { left.name == right.name }

    /// Hashes the name.
    ///
    /// - Parameter hasher: Receives the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// All faults, by topic.
    public static let allCases: [CertificateFault] =
        timeFaults + nameFaults + wildcardFaults + purposeFaults + chainFaults + signatureFaults
        + formFaults
}

/// What a test of one fault presents, trusts and connects to.
public struct FaultScenario: Sendable {
    /// The certificate, its key, and as ``IssuedCertificate/chainDER`` what the server presents.
    public var certificate: IssuedCertificate
    /// What the client trusts, in DER.
    public var anchorsDER: [[UInt8]]
    /// The DNS name or IP address that the client connects to.
    public var host: String
    /// The OCSP response that the server staples; nil for none.
    public var staple: OCSPAnswer?
    /// The protocol versions that can show it.
    public var versions: ClosedRange<ProtocolVersion> = .tls12 ... .tls13
    /// The authority's time when this was made, in seconds since 1970: when to verify.
    public let unixSeconds: Int64

    /// Makes an in-memory server that presents the certificate unchecked.
    ///
    /// - Returns: The server, which speaks ``versions``.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public func server() throws(TestKitError) -> UncheckedServer {
        try UncheckedServer(certificate, versions: versions, staple: staple)
    }

    /// ``anchorsDER`` in PEM.
    public var anchorsPEM: String { anchorsDER.map(pemCertificate).joined() }

    /// Trust in ``anchorsDER`` at ``unixSeconds``, for clients of this package.
    ///
    /// - Throws: `TLSError` `.invalidCertificate`.
    public var trust: TrustPolicy {
        get throws(TLSError) { try TrustPolicy(trusting: anchorsDER, at: unixSeconds) }
    }
}

/// What faults are made of.
struct FaultStage {
    let root: TestCA
    let host: String

    /// A scenario of a certificate that the root's relying parties meet.
    func scenario(
        _ certificate: IssuedCertificate,
        host: String? = nil,
        anchors: [TestCA]? = nil,
        staple: OCSPAnswer? = nil
    ) -> FaultScenario {
        FaultScenario(
            certificate: certificate,
            anchorsDER: anchors?.map(\.certificateDER) ?? [root.certificateDER],
            host: host ?? self.host,
            staple: staple,
            unixSeconds: root.now()
        )
    }

    /// A correct recipe for the host, bent.
    func recipe(
        _ change: (inout CertificateRecipe) throws(TestKitError) -> Void = { _ in }
    ) throws(TestKitError) -> CertificateRecipe {
        var recipe = CertificateRecipe.server([.dns(host)])
        try change(&recipe)
        return recipe
    }

    /// A scenario of a correct leaf below this authority.
    func leaf(below authority: TestCA) throws(TestKitError) -> FaultScenario {
        scenario(try authority.issue(.server([.dns(host)])))
    }

    /// An authority below the root, bent.
    func intermediate(
        _ name: String = "Test Intermediate",
        _ change: (inout CertificateRecipe) throws(TestKitError) -> Void = { _ in }
    ) throws(TestKitError) -> TestCA {
        var recipe = CertificateRecipe.authority(name)
        try change(&recipe)
        return try root.intermediate(recipe)
    }
}

extension CertificateFault {
    /// Makes a fault.
    init(
        _ name: String,
        _ summary: String,
        code: Int32,
        _ verdict: Verdict,
        versions: [ProtocolVersion] = [.tls12, .tls13],
        make: @escaping @Sendable (FaultStage) throws(TestKitError) -> FaultScenario
    ) {
        self.name = name
        self.summary = summary
        verifyCode = code
        self.verdict = verdict
        self.versions = versions
        self.make = make
    }

    /// Makes a fault that OpenSSL finds as this package does; 0 is none.
    init(
        _ name: String,
        _ summary: String,
        code: Int32,
        depth: Int = 0,
        versions: [ProtocolVersion] = [.tls12, .tls13],
        make: @escaping @Sendable (FaultStage) throws(TestKitError) -> FaultScenario
    ) {
        let verdict: Verdict =
            code == 0 ? .accepted : .refused(VerificationCode(rawValue: code), depth: depth)
        self.init(name, summary, code: code, verdict, versions: versions, make: make)
    }

    /// Makes a fault of the leaf alone.
    init(
        leaf name: String,
        _ summary: String,
        code: Int32,
        _ verdict: Verdict? = nil,
        host: @escaping @Sendable (String) -> String = { $0 },
        versions: [ProtocolVersion] = [.tls12, .tls13],
        _ change: @escaping @Sendable (inout CertificateRecipe) throws(TestKitError) -> Void
    ) {
        let same: Verdict =
            code == 0 ? .accepted : .refused(VerificationCode(rawValue: code), depth: 0)
        self.init(name, summary, code: code, verdict ?? same, versions: versions) {
            (stage) throws(TestKitError) in
            let recipe = try stage.recipe(change)
            return stage.scenario(try stage.root.issue(recipe), host: host(stage.host))
        }
    }
}
