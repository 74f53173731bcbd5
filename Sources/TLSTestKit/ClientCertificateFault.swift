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
    /// What a server that requires a certificate must do; one that only requests it differs for
    /// ``none``, which it lets in.
    public let verdict: CertificateFault.Verdict
    private let make: @Sendable (TestCA) throws(TestKitError) -> IssuedCertificate?

    /// Makes what the client comes with.
    ///
    /// - Parameter authority: A correct root, which the server trusts.
    /// - Returns: The certificate; nil for a client that has none.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public func certificate(
        under authority: TestCA
    ) throws(TestKitError) -> IssuedCertificate? {
        try make(authority)
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
        _ verdict: CertificateFault.Verdict,
        make: @escaping @Sendable (TestCA) throws(TestKitError) -> IssuedCertificate?
    ) {
        self.name = name
        self.verdict = verdict
        self.make = make
    }

    private init(
        client name: String,
        _ verdict: CertificateFault.Verdict,
        _ change: @escaping @Sendable (inout CertificateRecipe) -> Void
    ) {
        self.init(name, verdict) { (authority) throws(TestKitError) in
            var recipe = CertificateRecipe.client("alice")
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
    public static let none = Self("none", .handshakeFailed(.peerCertificateMissing)) {
        (_) throws(TestKitError) in nil
    }
    /// A correct certificate.
    public static let sound = Self(client: "sound", .accepted) { _ in }
    /// A correct certificate of an intermediate.
    public static let soundBelowIntermediate = Self("soundBelowIntermediate", .accepted) {
        (authority) throws(TestKitError) in
        try authority.intermediate(pathLength: 0).issueClient("alice")
    }
    /// A certificate for servers and clients.
    public static let sharedPurpose = Self(client: "sharedPurpose", .accepted) {
        $0.extendedKeyUsage = [.serverAuth, .clientAuth]
    }
    /// Expired a day ago.
    public static let expired = Self(client: "expired", .refused(.expired)) {
        $0.validity = .days(-2 ... -1)
    }
    /// Valid from tomorrow.
    public static let notYetValid = Self(client: "notYetValid", .refused(.notYetValid)) {
        $0.validity = .days(1...2)
    }
    /// Issued by an authority that the server does not trust.
    public static let unknownCA = Self("unknownCA", .refused(.unableToGetIssuerLocally)) {
        (authority) throws(TestKitError) in
        try TestCA(name: "Unknown Root", now: authority.now).issueClient("mallory")
    }
    /// The client forgot its intermediate.
    public static let missingIntermediate = Self(
        "missingIntermediate",
        .refused(.unableToGetIssuerLocally)
    ) { (authority) throws(TestKitError) in
        try authority.intermediate().issueClient("alice").presenting(with: [])
    }
    /// For servers only.
    public static let wrongEKU = Self(client: "wrongEKU", .refused(.invalidPurpose)) {
        $0.extendedKeyUsage = [.serverAuth]
    }
    /// Signed by itself.
    public static let selfSigned = Self(client: "selfSigned", .refused(.selfSignedLeaf)) {
        $0.signer = .itself
    }
    /// An authority that comes as a client.
    public static let caAsClient = Self(client: "caAsClient", .refused(.leafIsCA)) {
        $0.basicConstraints = .init(isAuthority: true)
        $0.keyUsage = .exactly([.digitalSignature, .keyCertSign])
    }
    /// A stranger's signature.
    public static let badSignature = Self(client: "badSignature", .refused(.badSignature)) {
        $0.signer = .stranger
    }
    /// A negative serial number.
    public static let negativeSerial = Self(
        client: "negativeSerial",
        .refused(.invalidSerialNumber)
    ) { $0.serial = .octets([0xFF, 0x01]) }
    /// A client that does not have the certificate's key.
    public static let wrongKey = Self("wrongKey", .handshakeFailed(.protocolViolation)) {
        (authority) throws(TestKitError) in
        try authority.issueClient("alice").withWrongKey()
    }
}
