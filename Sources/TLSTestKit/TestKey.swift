internal import Synchronization

/// The kind of key a test certificate gets.
///
/// ECDSA and Ed25519 keys are made anew for each certificate. RSA and DSA keys are slow to make
/// (some 0.1 s for RSA of 2048 bits, seconds for 4096), so they come from a pool of at most three keys a kind,
/// made when first asked for and shared by the whole process. A certificate never shares a key
/// with the certificates above it unless its chain is longer than the pool. Sharing keys is fit
/// for tests only, like everything in this module.
@nonexhaustive
public enum TestKey: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// ECDSA on P-256, signing with SHA-256: the default.
    case p256
    /// ECDSA on P-384, signing with SHA-384.
    case p384
    /// Ed25519 (RFC 8410).
    case ed25519
    /// RSA of 2048 bits, signing PKCS #1 v1.5 with SHA-256.
    case rsa2048
    /// RSA of 3072 bits, signing PKCS #1 v1.5 with SHA-256.
    case rsa3072
    /// RSA of 4096 bits, signing PKCS #1 v1.5 with SHA-256.
    case rsa4096
    /// RSA of 2048 bits that may only sign RSASSA-PSS (`id-RSASSA-PSS`, RFC 4055).
    case rsaPSS2048
    /// RSA of 1024 bits, which verifiers must refuse.
    case rsa1024
    /// RSA of 512 bits, which verifiers must refuse; too small for any signature of TLS 1.3.
    case rsa512
    /// ECDSA on P-192, signing with SHA-256, which verifiers must refuse.
    case p192
    /// DSA of 2048 bits, signing with SHA-256, which TLS 1.3 has no signatures of.
    case dsa2048

    /// The name of the case.
    public var description: String { rawValue }

    /// What differs between kinds, in one table.
    var parameters: Parameters {
        switch self {
        case .p256: Parameters(.elliptic("P-256"), .ecdsa, .sha256)
        case .p384: Parameters(.elliptic("P-384"), .ecdsa, .sha384)
        case .ed25519: Parameters(.edwards("ED25519"), .ed25519, nil)
        case .rsa2048: Parameters(.rsa("RSA", bits: 2048), .rsa, .sha256)
        case .rsa3072: Parameters(.rsa("RSA", bits: 3072), .rsa, .sha256)
        case .rsa4096: Parameters(.rsa("RSA", bits: 4096), .rsa, .sha256)
        case .rsaPSS2048: Parameters(.rsa("RSA-PSS", bits: 2048), .rsaPSS, .sha256)
        case .rsa1024: Parameters(.rsa("RSA", bits: 1024), .rsa, .sha256)
        case .rsa512: Parameters(.rsa("RSA", bits: 512), .rsa, .sha256)
        case .p192: Parameters(.elliptic("P-192"), .ecdsa, .sha256)
        case .dsa2048: Parameters(.dsa(bits: 2048, order: 224), .dsa, .sha256)
        }
    }

    struct Parameters {
        /// How OpenSSL makes the key; names are OpenSSL's.
        enum Generation {
            case elliptic(String)
            case edwards(String)
            case rsa(String, bits: Int32)
            case dsa(bits: Int32, order: Int32)
        }

        /// The family of signature algorithms the key can be used with.
        enum Signing { case ecdsa, ed25519, rsa, rsaPSS, dsa }

        let generation: Generation
        let signing: Signing
        /// The digest signed with when a recipe names none; nil for Ed25519, which has its own.
        let digest: SigningDigest?

        init(_ generation: Generation, _ signing: Signing, _ digest: SigningDigest?) {
            self.generation = generation
            self.signing = signing
            self.digest = digest
        }

        /// Whether keys are dear enough to be shared.
        var isPooled: Bool {
            switch generation {
            case .rsa, .dsa: true
            case .elliptic, .edwards: false
            }
        }
    }
}

/// The digest a certificate is signed with.
@nonexhaustive
public enum SigningDigest: String, Sendable, Hashable, CaseIterable {
    /// SHA-256.
    case sha256 = "SHA256"
    /// SHA-384.
    case sha384 = "SHA384"
    /// SHA-512.
    case sha512 = "SHA512"
    /// SHA-1, which verifiers must refuse.
    case sha1 = "SHA1"
    /// MD5, which verifiers must refuse.
    case md5 = "MD5"
}

/// The process's RSA and DSA keys.
final class KeyPool: Sendable {
    static let shared = KeyPool()

    /// A leaf, its intermediate and the root: a usual chain gets keys that all differ.
    static let keysPerKind = 3

    private let keys = Mutex<[TestKey: [PrivateKey]]>([:])

    /// Returns a key of the kind that is none of `avoided` as far as the pool reaches.
    ///
    /// Holds the pool's lock while a key is made, so that two tests do not make the same one.
    ///
    /// - Parameters:
    ///   - kind: The kind of key.
    ///   - avoided: The keys above in the chain, nearest first.
    /// - Returns: A new key if the kind is cheap, else one of the pool.
    /// - Throws: ``TestKitError`` `.openSSL`.
    func key(_ kind: TestKey, avoiding avoided: [PrivateKey]) throws(TestKitError) -> PrivateKey {
        guard kind.parameters.isPooled else { return try PrivateKey(generating: kind) }
        // `withLock` rethrows untyped unless the closure's error type is spelled.
        return try keys.withLock { (keys) throws(TestKitError) in
            let known = keys[kind, default: []]
            if let unused = known.first(where: { key in !avoided.contains { $0 === key } }) {
                return unused
            }
            if known.count < Self.keysPerKind {
                let key = try PrivateKey(generating: kind)
                keys[kind, default: []].append(key)
                return key
            }
            // Longer chains may repeat a key, only not the issuer's own.
            return known.first { $0 !== avoided.first } ?? known[0]
        }
    }
}
