/// One way a server's certificate can be wrong, and what OpenSSL says about it.
///
/// ```swift
/// @Test(arguments: CertificateFault.allCases)
/// func refuses(_ fault: CertificateFault) throws {
///     let leaf = try fault.issue(from: ca, "a.test")
///     …  // connect to "a.test", expect fault.verifyCode
/// }
/// ```
public struct CertificateFault: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// The fault's name, unique among ``allCases``.
    public let name: String
    /// What `X509_verify_cert` answers (`X509_V_ERR_…`) when it trusts the root of the issuing
    /// authority, wants a TLS server of the first name asked for, which must be a DNS name, and
    /// never looks for it in the subject.
    public let verifyCode: Int32
    private let make: @Sendable (TestCA, [SubjectName]) throws(TestKitError) -> IssuedCertificate

    /// Issues a certificate with this fault and no other.
    ///
    /// - Parameters:
    ///   - authority: A correct authority that issues it.
    ///   - names: The names a correct certificate would have; at least one.
    /// - Returns: The certificate; its chain holds the authority if that is not a root.
    /// - Throws: ``TestKitError`` of any code but `.fileSystem`.
    public func issue(
        from authority: TestCA,
        _ names: SubjectName...
    ) throws(TestKitError) -> IssuedCertificate {
        guard !names.isEmpty else {
            throw TestKitError(.invalidRecipe, "a certificate needs a name")
        }
        return try make(authority, names)
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
        verifyCode: Int32,
        recipe: @escaping @Sendable ([SubjectName]) -> CertificateRecipe
    ) {
        self.name = name
        self.verifyCode = verifyCode
        make = { (authority, names) throws(TestKitError) in try authority.issue(recipe(names)) }
    }
}

extension CertificateFault {
    /// All faults.
    public static let allCases: [CertificateFault] = [
        expired, notYetValid, wrongHost, noSAN, caAsLeaf, wrongEKU, unknownCriticalExtension,
        selfSigned,
    ]

    /// Expired a day ago (`X509_V_ERR_CERT_HAS_EXPIRED`).
    public static let expired = CertificateFault("expired", verifyCode: 10) { .expired($0) }

    /// Valid from tomorrow (`X509_V_ERR_CERT_NOT_YET_VALID`).
    public static let notYetValid = CertificateFault("notYetValid", verifyCode: 9) {
        .notYetValid($0)
    }

    /// For another host (`X509_V_ERR_HOSTNAME_MISMATCH`).
    public static let wrongHost = CertificateFault("wrongHost", verifyCode: 62) { .wrongHost($0) }

    /// The host only as common name (`X509_V_ERR_HOSTNAME_MISMATCH`).
    public static let noSAN = CertificateFault("noSAN", verifyCode: 62) { .noSAN($0) }

    /// An authority that serves (`X509_V_ERR_INVALID_PURPOSE`: it may not make signatures).
    public static let caAsLeaf = CertificateFault("caAsLeaf", verifyCode: 26) { .caAsLeaf($0) }

    /// For clients only (`X509_V_ERR_INVALID_PURPOSE`).
    public static let wrongEKU = CertificateFault("wrongEKU", verifyCode: 26) { .wrongEKU($0) }

    /// An unknown critical extension (`X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION`).
    public static let unknownCriticalExtension = CertificateFault(
        "unknownCriticalExtension",
        verifyCode: 34
    ) { .unknownCriticalExtension($0) }

    /// Signed by itself (`X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT`).
    public static let selfSigned = CertificateFault("selfSigned", verifyCode: 18) {
        .selfSigned($0)
    }
}
