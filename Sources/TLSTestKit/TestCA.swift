internal import Glibc

/// A certificate authority in memory, for tests.
///
/// ```swift
/// let ca = try TestCA()
/// let server = try ca.issue("localhost", "127.0.0.1")
/// let intermediate = try ca.intermediate(pathLength: 0)
/// let expired = try intermediate.issue("a.test", validity: .days(-10 ... -1))
/// let client = try ca.issueClient("alice")
/// ```
///
/// What it issues satisfies strict verifiers (`X509_V_FLAG_X509_STRICT`) unless a recipe says
/// otherwise. Authorities are values without state and can be used from any task at once. Nothing
/// is ever written to disk unless ``IssuedCertificate/write(to:name:passphrase:)`` is called.
public struct TestCA: Sendable, CustomStringConvertible {
    /// The authority's own certificate, chain and key.
    public let identity: IssuedCertificate
    /// The clock that relative validities count from, in seconds since 1970.
    let now: @Sendable () -> Int64

    /// Makes a root authority.
    ///
    /// - Parameters:
    ///   - name: The common name; at most 64 characters to be correct.
    ///   - key: The kind of key.
    ///   - validity: When the root is valid.
    ///   - now: The clock of this authority and its intermediates, in seconds since 1970.
    /// - Throws: ``TestKitError`` `.openSSL` or `.invalidValidity`.
    public init(
        name: String = "Test Root",
        key: TestKey = .p256,
        validity: Validity = .authority,
        now: @escaping @Sendable () -> Int64 = TestCA.wallClock
    ) throws(TestKitError) {
        var recipe = CertificateRecipe.authority(name, key: key)
        recipe.validity = validity
        try self.init(recipe: recipe, now: now)
    }

    /// Makes a root authority that follows a hand-turned clock.
    ///
    /// - Parameters:
    ///   - name: The common name; at most 64 characters to be correct.
    ///   - key: The kind of key.
    ///   - validity: When the root is valid.
    ///   - clock: The clock of this authority and its intermediates.
    /// - Throws: ``TestKitError`` `.openSSL` or `.invalidValidity`.
    public init(
        name: String = "Test Root",
        key: TestKey = .p256,
        validity: Validity = .authority,
        clock: ManualClock
    ) throws(TestKitError) {
        try self.init(name: name, key: key, validity: validity, now: { clock.unixSeconds })
    }

    /// Makes a root authority from a recipe, which it signs itself.
    ///
    /// - Parameters:
    ///   - recipe: The root; its ``CertificateRecipe/signer`` does not matter.
    ///   - now: The clock of this authority and its intermediates, in seconds since 1970.
    /// - Throws: ``TestKitError`` of any code but `.fileSystem`.
    public init(
        recipe: CertificateRecipe,
        now: @escaping @Sendable () -> Int64 = TestCA.wallClock
    ) throws(TestKitError) {
        identity = try IssuedCertificate(issuing: recipe, authority: nil, now: now())
        self.now = now
    }

    /// Lets any certificate act as an authority, whether or not it may.
    ///
    /// - Parameters:
    ///   - identity: The certificate to issue under.
    ///   - now: The clock of this authority, in seconds since 1970.
    public init(
        actingAs identity: IssuedCertificate,
        now: @escaping @Sendable () -> Int64 = TestCA.wallClock
    ) {
        self.identity = identity
        self.now = now
    }

    /// Issues a leaf certificate.
    ///
    /// - Parameters:
    ///   - names: The subject's names; at least one.
    ///   - key: The kind of key.
    ///   - validity: When the certificate is valid.
    ///   - profile: What the certificate is for.
    /// - Returns: The certificate with its chain and key.
    /// - Throws: ``TestKitError`` `.openSSL`, `.invalidName`, `.invalidValidity`, or
    ///   `.invalidRecipe` if there is no name.
    public func issue(
        _ names: SubjectName...,
        key: TestKey = .p256,
        validity: Validity = .standard,
        profile: LeafProfile = .server
    ) throws(TestKitError) -> IssuedCertificate {
        guard !names.isEmpty else {
            throw TestKitError(.invalidRecipe, "a certificate needs a name")
        }
        var recipe = CertificateRecipe.server(names, key: key)
        recipe.validity = validity
        recipe.extendedKeyUsage = profile.purposes
        return try issue(recipe)
    }

    /// Issues a client certificate.
    ///
    /// - Parameters:
    ///   - commonName: Who the client is.
    ///   - names: Alternative names, if any.
    ///   - key: The kind of key.
    ///   - validity: When the certificate is valid.
    /// - Returns: The certificate with its chain and key.
    /// - Throws: ``TestKitError`` `.openSSL`, `.invalidName` or `.invalidValidity`.
    public func issueClient(
        _ commonName: String,
        _ names: SubjectName...,
        key: TestKey = .p256,
        validity: Validity = .standard
    ) throws(TestKitError) -> IssuedCertificate {
        var recipe = CertificateRecipe.client(commonName, names, key: key)
        recipe.validity = validity
        return try issue(recipe)
    }

    /// Issues whatever the recipe says.
    ///
    /// - Parameter recipe: The certificate, right or wrong.
    /// - Returns: The certificate with its chain and key.
    /// - Throws: ``TestKitError`` of any code but `.fileSystem`.
    public func issue(_ recipe: CertificateRecipe) throws(TestKitError) -> IssuedCertificate {
        try IssuedCertificate(issuing: recipe, authority: identity, now: now())
    }

    /// Makes an authority below this one.
    ///
    /// - Parameters:
    ///   - name: The common name; at most 64 characters to be correct.
    ///   - pathLength: How many authorities may follow below it; nil for any number.
    ///   - key: The kind of key.
    ///   - validity: When the intermediate is valid.
    /// - Returns: The authority, which keeps this one's clock.
    /// - Throws: ``TestKitError`` `.openSSL` or `.invalidValidity`.
    public func intermediate(
        name: String = "Test Intermediate",
        pathLength: Int? = nil,
        key: TestKey = .p256,
        validity: Validity = .authority
    ) throws(TestKitError) -> TestCA {
        var recipe = CertificateRecipe.authority(name, pathLength: pathLength, key: key)
        recipe.validity = validity
        return try intermediate(recipe)
    }

    /// Makes an authority below this one from a recipe.
    ///
    /// - Parameter recipe: The intermediate, right or wrong.
    /// - Returns: The authority, which keeps this one's clock.
    /// - Throws: ``TestKitError`` of any code but `.fileSystem`.
    public func intermediate(_ recipe: CertificateRecipe) throws(TestKitError) -> TestCA {
        TestCA(actingAs: try issue(recipe), now: now)
    }

    /// The DER of this authority's certificate.
    public var certificateDER: [UInt8] { identity.certificateDER }

    /// The PEM of this authority's certificate.
    public var certificatePEM: String { identity.certificatePEM }

    /// The DER of the root above this authority, or of itself.
    public var rootDER: [UInt8] { identity.rootDER }

    /// The PEM of the root above this authority, or of itself.
    public var rootPEM: String { identity.rootPEM }

    /// The authority's name and key kind.
    public var description: String { "TestCA(\(identity.summary))" }

    /// Reads the system's clock in seconds since 1970.
    ///
    /// - Note: libc `time`.
    @Sendable
    public static func wallClock() -> Int64 {
        Int64(time(nil))
    }
}

/// What a leaf certificate is for: the purposes of its extendedKeyUsage.
public enum LeafProfile: String, Sendable, Hashable, CaseIterable {
    /// A TLS server.
    case server
    /// A TLS client.
    case client
    /// Either side of a connection.
    case peer

    fileprivate var purposes: [CertificateRecipe.ExtendedKeyUsage] {
        switch self {
        case .server: [.serverAuth]
        case .client: [.clientAuth]
        case .peer: [.serverAuth, .clientAuth]
        }
    }
}
