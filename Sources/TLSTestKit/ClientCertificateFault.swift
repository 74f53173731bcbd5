// The catalogue for servers: what a client may come with, and what a server that asks for
// certificates must do.

internal import TLSEngine

/// One way a client can authenticate or fail to, and what a server must make of it.
///
/// ```swift
/// @Test(arguments: ClientCertificateFault.allCases)
/// func judges(_ fault: ClientCertificateFault) async throws {
///     let certificate = try fault.certificate(under: ca)  // nil: come without
///     …  // connect with it, expect fault.verdict
/// }
/// ```
public struct ClientCertificateFault: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// The name, unique among ``allCases``.
    public let name: String
    /// What is wrong or odd, in a few words.
    public let summary: String
    /// What a server that requires a certificate must do; one that only requests it differs for
    /// ``none``, which it lets in.
    public let verdict: CertificateFault.Verdict
    private let make: @Sendable (TestCA, String) throws(TestKitError) -> IssuedCertificate?

    /// Makes what the client comes with.
    ///
    /// - Parameters:
    ///   - authority: A correct root, which the server trusts.
    ///   - client: The client's name.
    /// - Returns: The certificate; nil for a client that has none.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public func certificate(
        under authority: TestCA,
        for client: String = "alice"
    ) throws(TestKitError) -> IssuedCertificate? {
        try make(authority, client)
    }

    /// The name.
    public var description: String { name }

    /// Compares names.
    public static func == (left: Self, right: Self) -> Bool { left.name == right.name }

    /// Hashes the name.
    ///
    /// - Parameter hasher: Receives the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    private init(
        _ name: String,
        _ summary: String,
        _ verdict: CertificateFault.Verdict,
        make: @escaping @Sendable (TestCA, String) throws(TestKitError) -> IssuedCertificate?
    ) {
        self.name = name
        self.summary = summary
        self.verdict = verdict
        self.make = make
    }

    private init(
        client name: String,
        _ summary: String,
        _ verdict: CertificateFault.Verdict,
        _ change: @escaping @Sendable (inout CertificateRecipe) -> Void
    ) {
        self.init(name, summary, verdict) { (authority, client) throws(TestKitError) in
            var recipe = CertificateRecipe.client(client)
            change(&recipe)
            return try authority.issue(recipe)
        }
    }

    /// All forms.
    public static let allCases: [ClientCertificateFault] = [
        none, sound, soundBelowIntermediate, sharedPurpose, expired, notYetValid, unknownCA,
        missingIntermediate, wrongEKU, selfSigned, caAsClient, badSignature, negativeSerial,
        wrongKey,
    ]

    /// No certificate.
    public static let none = Self(
        "none",
        "no certificate",
        .handshakeFailed(.peerCertificateMissing)
    ) {
        (_, _) throws(TestKitError) in nil
    }
    /// A correct certificate.
    public static let sound = Self(client: "sound", "nothing is wrong", .accepted) { _ in }
    /// A correct certificate of an intermediate.
    public static let soundBelowIntermediate = Self(
        "soundBelowIntermediate",
        "issued by an intermediate, which is sent",
        .accepted
    ) {
        (authority, client) throws(TestKitError) in
        try authority.intermediate(pathLength: 0).issueClient(client)
    }
    /// A certificate for servers and clients.
    public static let sharedPurpose = Self(
        client: "sharedPurpose",
        "for servers and clients",
        .accepted
    ) {
        $0.extendedKeyUsage = [.serverAuth, .clientAuth]
    }
    /// Expired a day ago.
    public static let expired = Self(client: "expired", "expired a day ago", .refused(.expired)) {
        $0.validity = .days(-2 ... -1)
    }
    /// Valid from tomorrow.
    public static let notYetValid = Self(
        client: "notYetValid",
        "valid from tomorrow",
        .refused(.notYetValid)
    ) {
        $0.validity = .days(1...2)
    }
    /// Issued by an authority that the server does not trust.
    public static let unknownCA = Self(
        "unknownCA",
        "issued by an authority that the server does not trust",
        .refused(.unableToGetIssuerLocally)
    ) {
        (authority, client) throws(TestKitError) in
        try TestCA(name: "Unknown Root", now: authority.now).issueClient(client)
    }
    /// The client forgot its intermediate.
    public static let missingIntermediate = Self(
        "missingIntermediate",
        "the client forgot its intermediate",
        .refused(.unableToGetIssuerLocally)
    ) { (authority, client) throws(TestKitError) in
        try authority.intermediate().issueClient(client).presenting(with: [])
    }
    /// For servers only.
    public static let wrongEKU = Self(
        client: "wrongEKU",
        "for servers only",
        .refused(.invalidPurpose)
    ) {
        $0.extendedKeyUsage = [.serverAuth]
    }
    /// Signed by itself.
    public static let selfSigned = Self(
        client: "selfSigned",
        "signed by itself",
        .refused(.selfSignedLeaf)
    ) {
        $0.signer = .itself
    }
    /// An authority that comes as a client.
    public static let caAsClient = Self(
        client: "caAsClient",
        "an authority that comes as a client",
        .refused(.leafIsCA)
    ) {
        $0.basicConstraints = .init(isAuthority: true)
        $0.keyUsage = .exactly([.digitalSignature, .keyCertSign])
    }
    /// A stranger's signature.
    public static let badSignature = Self(
        client: "badSignature",
        "signed with a stranger's key",
        .refused(.badSignature)
    ) {
        $0.signer = .stranger
    }
    /// A negative serial number.
    public static let negativeSerial = Self(
        client: "negativeSerial",
        "a negative serial number",
        .refused(.invalidSerialNumber)
    ) { $0.serial = .octets([0xFF, 0x01]) }
    /// A client that does not have the certificate's key.
    public static let wrongKey = Self(
        "wrongKey",
        "the client does not have the certificate's key",
        .handshakeFailed(.protocolViolation)
    ) {
        (authority, client) throws(TestKitError) in
        try authority.issueClient(client).withWrongKey()
    }
}
