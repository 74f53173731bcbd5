// A certificate's or key's fingerprint as the seed and SDP write it: the name of a hash and its value in
// hexadecimal with colons (RFC 8122 §5).

/// A hash that fingerprints are made with (RFC 8122 §5).
///
/// MD5, SHA-1 and SHA-224 are left out: a fingerprint stands for all of a certificate's checks.
public enum FingerprintAlgorithm: String, CaseIterable, Hashable, Sendable {
    /// SHA-256, 32 bytes.
    case sha256 = "sha-256"
    /// SHA-384, 48 bytes.
    case sha384 = "sha-384"
    /// SHA-512, 64 bytes.
    case sha512 = "sha-512"

    /// Bytes of the digest.
    public var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }
}

/// The fingerprint of a certificate or a public key (seed `RTCDtlsFingerprint`).
///
/// ```swift
/// try CertificateFingerprint(algorithm: "sha-256", value: "2F:9A:…:07")
/// ```
public struct CertificateFingerprint: Hashable, Sendable {
    /// The hash.
    public let algorithm: FingerprintAlgorithm
    /// The digest, as many bytes as the hash has.
    public let digest: [UInt8]

    /// Reads a fingerprint (seed `algorithm`, `value`).
    ///
    /// - Parameters:
    ///   - algorithm: `sha-256`, `sha-384` or `sha-512`, in any case.
    ///   - value: Two hexadecimal digits a byte in any case, with a colon between bytes, as
    ///     `openssl x509 -fingerprint` prints it.
    /// - Throws: ``TLSError`` `.invalidFingerprint` for any other form.
    public init(algorithm: String, value: String) throws(TLSError) {
        guard let known = FingerprintAlgorithm(rawValue: algorithm.lowercased()) else {
            let names = FingerprintAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
            throw TLSError(
                .invalidFingerprint,
                detail: "\(algorithm) is not one of \(names)"
            )
        }
        guard let digest = CertificateFingerprint.bytes(of: value) else {
            throw TLSError(
                .invalidFingerprint,
                detail: "the value is not hexadecimal with colons",
                hint: "Write two digits for each byte and a colon between bytes (RFC 8122)"
            )
        }
        guard digest.count == known.byteCount else {
            throw TLSError(
                .invalidFingerprint,
                detail: "\(known.rawValue) has \(known.byteCount) bytes, not \(digest.count)"
            )
        }
        self.algorithm = known
        self.digest = digest
    }

    init(_ algorithm: FingerprintAlgorithm, digest: [UInt8]) {
        self.algorithm = algorithm
        self.digest = digest
    }

    /// The digest in upper case with colons (seed `value`).
    public var value: String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(digest.count * 3)
        for byte in digest {
            if !text.isEmpty { text.append(UInt8(ascii: ":")) }
            text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func bytes(of text: String) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard characters.count % 3 == 2 else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: characters.count, by: 3) {
            guard let high = nibble(characters[start]), let low = nibble(characters[start + 1]),
                start + 2 == characters.count || characters[start + 2] == UInt8(ascii: ":")
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func nibble(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension CertificateFingerprint: CustomStringConvertible {
    /// The hash and the value, as an SDP attribute has them.
    public var description: String { "\(algorithm.rawValue) \(value)" }
}

extension Certificate {
    /// The fingerprint of the certificate: a digest of its DER.
    public func fingerprint(_ algorithm: FingerprintAlgorithm = .sha256) -> CertificateFingerprint {
        CertificateFingerprint(algorithm, digest: OpenSSLLibrary.digest(der, algorithm))
    }

    /// The fingerprint of the public key: a digest of its SubjectPublicKeyInfo (RFC 7469 §2.4).
    ///
    /// It stays the same when the certificate is renewed with the same key.
    public func keyFingerprint(
        _ algorithm: FingerprintAlgorithm = .sha256
    ) -> CertificateFingerprint {
        CertificateFingerprint(
            algorithm,
            digest: OpenSSLLibrary.digest(subjectPublicKeyInfo, algorithm)
        )
    }
}
