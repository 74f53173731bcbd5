// The catalogue of revocation: what a revocation list or an OCSP response says, and how each can be
// wrong. What comes over HTTP and fails there (slow, status 500) is a server's affair.

public import TLSEngine

/// One state of a certificate's revocation, and what a verifier that demands to know must make of it.
///
/// ```swift
/// let scenario = try RevocationFault.ocspStale.scenario(under: ca)
/// …  // serve scenario.certificate, answer with scenario.answer, expect scenario's verdict
/// ```
public struct RevocationFault: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// What a verifier must make of it.
    public enum Verdict: Sendable, Hashable {
        /// Not revoked, on good evidence.
        case good
        /// Revoked, on good evidence.
        case revoked
        /// The responder does not know the certificate.
        case unknown
        /// There is no evidence that counts: refuse where revocation is required.
        case undetermined
    }

    /// Where the evidence comes from.
    public enum Source: Sendable, Hashable {
        /// A revocation list.
        case list
        /// An OCSP response, stapled or fetched.
        case ocsp
    }

    /// The name, unique among ``allCases``.
    public let name: String
    /// What is said, or what is wrong.
    public let summary: String
    /// Where the evidence comes from.
    public let source: Source
    /// What a verifier must make of it.
    public let verdict: Verdict
    /// For lists, what `X509_verify_cert` answers with `X509_V_FLAG_CRL_CHECK`; nil for OCSP.
    public let verifyCode: Int32?
    /// Why this package refuses the certificate when it requires evidence and has this alone: the
    /// lists as client or listener, or the response as a staple; nil to connect.
    ///
    /// A staple answers no request of this connection, so its nonce proves nothing; and one of no
    /// bytes cannot be sent (RFC 6066 §8).
    public let clientCode: VerificationCode?
    private let make: @Sendable (RevocationStage) throws(TestKitError) -> RevocationScenario

    /// Makes everything that a test needs.
    ///
    /// - Parameters:
    ///   - authority: A correct root.
    ///   - host: The DNS name that the certificate is for.
    /// - Returns: The certificate and what is said of it.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public func scenario(
        under authority: TestCA,
        host: String = "a.test"
    ) throws(TestKitError) -> RevocationScenario {
        try scenario(under: authority, for: .server([.dns(host)]))
    }

    /// Makes everything that a test needs, for a certificate of any kind: a client's, for example.
    ///
    /// - Parameters:
    ///   - authority: A correct root.
    ///   - recipe: What the certificate is.
    /// - Returns: The certificate and what is said of it.
    /// - Throws: ``TestKitError``, as the recipe has it.
    public func scenario(
        under authority: TestCA,
        for recipe: CertificateRecipe
    ) throws(TestKitError) -> RevocationScenario {
        let authority = authority.stopped
        let leaf = try authority.issue(recipe)
        let id = try OCSPCertificateID(of: leaf, issuedBy: authority)
        let nonce: [UInt8] = Array(0x10...0x1F)
        let request = OCSPRequest(for: [id], nonce: nonce)
        return try make(RevocationStage(authority: authority, leaf: leaf, request: request))
    }

    /// The name.
    public var description: String { name }

    /// Compares names.
    public static func == (left: Self, right: Self) -> Bool { left.name == right.name }

    /// Hashes the name.
    ///
    /// - Parameter hasher: Receives the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// All states.
    public static let allCases: [RevocationFault] = listFaults + ocspFaults
}

/// A certificate and what is said of its revocation.
public struct RevocationScenario: Sendable {
    /// The certificate in question.
    public let certificate: IssuedCertificate
    /// The issuer's certificate in DER, which is the root that is trusted.
    public let issuerDER: [UInt8]
    /// The revocation lists that are at hand.
    public var lists: [RevocationList] = []
    /// What a client asks a responder, with a nonce.
    public let request: OCSPRequest
    /// What the responder answers; nil where OCSP plays no part.
    public var answer: OCSPAnswer?
    /// The authority's time in seconds since 1970: when to verify.
    public let unixSeconds: Int64
}

/// What states of revocation are made of.
struct RevocationStage {
    let authority: TestCA
    let leaf: IssuedCertificate
    let request: OCSPRequest

    var scenario: RevocationScenario {
        RevocationScenario(
            certificate: leaf,
            issuerDER: authority.certificateDER,
            request: request,
            unixSeconds: authority.now()
        )
    }

    /// A scenario with a list that names the leaf or does not, bent.
    func list(
        revokes: Bool = false,
        by issuer: TestCA? = nil,
        _ change: (inout RevocationListRecipe) -> Void = { _ in }
    ) throws(TestKitError) -> RevocationScenario {
        var recipe = RevocationListRecipe(revoking: revokes ? [leaf] : [])
        change(&recipe)
        var scenario = scenario
        scenario.lists = [try (issuer ?? authority).revocationList(recipe)]
        return scenario
    }

    /// A scenario with a response to the request, bent.
    func answer(
        _ status: OCSPStatus = .good,
        _ change: (inout OCSPAnswerRecipe) throws(TestKitError) -> Void = { _ in }
    ) throws(TestKitError) -> RevocationScenario {
        let singles = request.certificates.map { OCSPAnswerRecipe.Single($0, status) }
        var recipe = OCSPAnswerRecipe(singles, nonce: request.nonce)
        try change(&recipe)
        return answer(try authority.ocspAnswer(recipe))
    }

    /// A scenario with any answer.
    func answer(_ answer: OCSPAnswer) -> RevocationScenario {
        var scenario = scenario
        scenario.answer = answer
        return scenario
    }
}

extension RevocationFault {
    /// Makes a state that a revocation list tells.
    init(
        list name: String,
        _ summary: String,
        _ verdict: Verdict,
        code: Int32,
        make: @escaping @Sendable (RevocationStage) throws(TestKitError) -> RevocationScenario
    ) {
        self.name = name
        self.summary = summary
        source = .list
        self.verdict = verdict
        verifyCode = code
        // Without a list that counts nothing is known, which is more than OpenSSL's 3 says.
        let isMissing = code == 3
        clientCode =
            code == 0 ? nil : isMissing ? .revocationUnknown : VerificationCode(rawValue: code)
        self.make = make
    }

    /// Makes a state that an OCSP response tells.
    init(
        ocsp name: String,
        _ summary: String,
        _ verdict: Verdict,
        client: VerificationCode? = nil,
        make: @escaping @Sendable (RevocationStage) throws(TestKitError) -> RevocationScenario
    ) {
        self.name = name
        self.summary = summary
        source = .ocsp
        self.verdict = verdict
        verifyCode = nil
        clientCode = client
        self.make = make
    }
}
