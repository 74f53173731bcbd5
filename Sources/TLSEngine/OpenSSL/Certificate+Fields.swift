// The fields of a certificate, read through OpenSSL when they are asked for.

import COpenSSL

/// A name in a certificate's subject alternative name extension (RFC 5280 §4.2.1.6).
public enum AlternativeName: Hashable, Sendable {
    /// A DNS name, possibly with a wildcard label.
    case dns(String)
    /// An IPv4 or IPv6 address as text.
    case ipAddress(String)
    /// An e-mail address.
    case email(String)
    /// A URI.
    case uri(String)
    /// A name of another kind, by its ASN.1 tag.
    case other(tag: Int)
}

extension AlternativeName: CustomStringConvertible {
    /// The name as text.
    public var description: String {
        switch self {
        case .dns(let name): name
        case .ipAddress(let address): address
        case .email(let address): address
        case .uri(let uri): uri
        case .other(let tag): "name of kind \(tag)"
        }
    }
}

/// What a certificate says about its public key.
public struct PublicKey: Hashable, Sendable {
    /// The key's type: `EC`, `RSA`, `RSA-PSS`, `ED25519`, or OpenSSL's name for another.
    public var type: String
    /// The size in bits.
    public var bits: Int
    /// The curve of an EC key, for example `P-256`; nil for others.
    public var curve: String?
    /// The SHA-256 digest of the SubjectPublicKeyInfo in DER, 32 bytes (RFC 7469 §2.4).
    public var sha256: [UInt8]
}

extension Certificate {
    /// The subject (RFC 2253 form), empty when the certificate has none.
    public var subject: String { unsafe nameText(X509_get_subject_name(handle.pointer)) }

    /// The issuer (RFC 2253 form).
    public var issuer: String { unsafe nameText(X509_get_issuer_name(handle.pointer)) }

    /// The issuer's name in DER.
    var issuerDER: [UInt8] { unsafe nameDER(X509_get_issuer_name(handle.pointer)) }

    /// The subject's last common name; nil without one.
    public var commonName: String? {
        guard let subject = unsafe X509_get_subject_name(handle.pointer) else { return nil }
        var place: Int32 = -1
        while true {
            let next = unsafe X509_NAME_get_index_by_NID(subject, NID_commonName, place)
            guard next >= 0 else { break }
            place = next
        }
        guard place >= 0, let entry = unsafe X509_NAME_get_entry(subject, place),
            let value = unsafe X509_NAME_ENTRY_get_data(entry)
        else { return nil }
        var utf8: UnsafeMutablePointer<UInt8>?
        let count = unsafe ASN1_STRING_to_UTF8(&utf8, value)
        guard let utf8 = unsafe utf8, count >= 0 else { return nil }
        defer { unsafe cssl_free(utf8) }
        return unsafe String(
            decoding: UnsafeBufferPointer(start: utf8, count: Int(count)),
            as: UTF8.self
        )
    }

    /// The serial number, big-endian, without sign.
    public var serialNumber: [UInt8] {
        guard let serial = unsafe X509_get0_serialNumber(handle.pointer) else { return [] }
        return unsafe bytes(of: serial)
    }

    /// Whether the serial number is written as a negative number, which RFC 5280 forbids.
    var hasNegativeSerialNumber: Bool {
        guard let serial = unsafe X509_get0_serialNumber(handle.pointer) else { return false }
        return unsafe ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER
    }

    /// The first second of the validity.
    public var notBefore: UnixTime { unsafe UnixTime(X509_get0_notBefore(handle.pointer)) }

    /// The last second of the validity.
    public var notAfter: UnixTime { unsafe UnixTime(X509_get0_notAfter(handle.pointer)) }

    /// The subject alternative names in order.
    public var subjectAlternativeNames: [AlternativeName] {
        guard let names = unsafe alternativeNames else { return [] }
        defer { unsafe GENERAL_NAMES_free(names) }
        return unsafe (0..<cssl_general_names_count(names)).compactMap { place in
            guard let name = unsafe cssl_general_names_value(names, place) else { return nil }
            return unsafe alternativeName(name.pointee)
        }
    }

    /// Whether the subject alternative name extension is there and critical.
    var hasCriticalAlternativeName: Bool {
        var critical: Int32 = -1
        let names = unsafe X509_get_ext_d2i(
            handle.pointer,
            NID_subject_alt_name,
            &critical,
            nil
        )
        unsafe GENERAL_NAMES_free(OpaquePointer(names))
        return critical == 1
    }

    /// Whether the certificate may sign others (`X509_check_ca`).
    public var isCA: Bool { unsafe X509_check_ca(handle.pointer) != 0 }

    /// Whether there is a key usage, and it does not allow signatures but those of certificates.
    var mayNotSign: Bool {
        // Without the extension every bit is set.
        unsafe X509_get_key_usage(handle.pointer) & UInt32(X509v3_KU_DIGITAL_SIGNATURE) == 0
    }

    /// Whether the key is one of DSA.
    var hasObsoleteKey: Bool {
        guard let key = unsafe X509_get0_pubkey(handle.pointer) else { return false }
        return unsafe EVP_PKEY_get_base_id(key) == EVP_PKEY_DSA
    }

    /// Whether subject and issuer are the same and the key signed itself.
    public var isSelfSigned: Bool { unsafe X509_self_signed(handle.pointer, 0) == 1 }

    /// The algorithm of the issuer's signature, for example `ecdsa-with-SHA256`.
    public var signatureAlgorithm: String {
        let number = unsafe X509_get_signature_nid(handle.pointer)
        return unsafe OBJ_nid2ln(number).map { unsafe String(cString: $0) } ?? "unknown"
    }

    /// The public key.
    public var publicKey: PublicKey {
        guard let key = unsafe X509_get0_pubkey(handle.pointer) else {
            return PublicKey(type: "unknown", bits: 0, curve: nil, sha256: subjectPublicKeyDigest)
        }
        return PublicKey(
            type: unsafe EVP_PKEY_get0_type_name(key).map { unsafe String(cString: $0) }
                ?? "unknown",
            bits: Int(unsafe EVP_PKEY_get_bits(key)),
            curve: unsafe curveName(of: key),
            sha256: subjectPublicKeyDigest
        )
    }

    /// Whether the certificate is for a name: RFC 9525 without common names and partial wildcards.
    ///
    /// - Note: OpenSSL `X509_check_host`, `X509_check_ip`.
    public func matches(_ name: ServerName) -> Bool {
        let bytes =
            name.kind == .ipAddress ? ipAddressBytes(name.text) ?? [] : Array(name.text.utf8)
        switch name.kind {
        case .ipAddress:
            return unsafe X509_check_ip(handle.pointer, bytes, bytes.count, 0) == 1
        case .dns:
            return unsafe bytes.withUnsafeBytes {
                let text = unsafe $0.assumingMemoryBound(to: CChar.self).baseAddress
                return unsafe X509_check_host(
                    handle.pointer,
                    text,
                    bytes.count,
                    cssl_host_check_flags(),
                    nil
                ) == 1
            }
        }
    }

    /// Whether the certificate demands a stapled OCSP response (RFC 7633).
    public var requiresStaple: Bool {
        unsafe X509_get_ext_by_NID(handle.pointer, NID_tlsfeature, -1) >= 0
    }

    private var subjectPublicKeyDigest: [UInt8] { OpenSSLLibrary.sha256(subjectPublicKeyInfo) }

    /// The SubjectPublicKeyInfo in DER.
    var subjectPublicKeyInfo: [UInt8] {
        guard let key = unsafe X509_get_X509_PUBKEY(handle.pointer) else { return [] }
        var der: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_X509_PUBKEY(key, &der)
        guard let der = unsafe der, count > 0 else { return [] }
        defer { unsafe cssl_free(der) }
        let bytes = unsafe UnsafeBufferPointer(start: der, count: Int(count))
        return unsafe Array(bytes)
    }

    private var alternativeNames: OpaquePointer? {
        unsafe OpaquePointer(
            X509_get_ext_d2i(handle.pointer, NID_subject_alt_name, nil, nil)
        )
    }

    private func alternativeName(_ name: GENERAL_NAME) -> AlternativeName {
        switch unsafe name.type {
        case GEN_DNS: .dns(unsafe text(of: name.d.ia5))
        case GEN_EMAIL: .email(unsafe text(of: name.d.ia5))
        case GEN_URI: .uri(unsafe text(of: name.d.ia5))
        case GEN_IPADD: .ipAddress(ipAddressText(unsafe bytes(of: name.d.ip)))
        default: .other(tag: Int(unsafe name.type))
        }
    }
}

extension UnixTime {
    /// Reads a time of OpenSSL's; 0 for one that cannot be read.
    init(_ time: UnsafePointer<ASN1_TIME>?) {
        var days: Int32 = 0
        var seconds: Int32 = 0
        self.init(seconds: 0)
        guard let epoch = unsafe ASN1_TIME_set(nil, 0) else { return }
        defer { unsafe ASN1_STRING_free(epoch) }
        guard unsafe ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return }
        self.seconds = Int64(days) * 86400 + Int64(seconds)
    }
}

/// A name in DER.
func nameDER(_ name: OpaquePointer?) -> [UInt8] {
    var der: UnsafeMutablePointer<UInt8>?
    let count = unsafe i2d_X509_NAME(name, &der)
    guard let start = unsafe der, count > 0 else { return [] }
    defer { unsafe cssl_free(start) }
    return unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
}

/// A name as RFC 2253 writes it.
func nameText(_ name: OpaquePointer?) -> String {
    guard let name = unsafe name, let bio = MemoryBIO() else { return "" }
    unsafe X509_NAME_print_ex(bio.pointer, name, 0, cssl_name_print_flags())
    return bio.text
}

/// The bytes of an ASN.1 string.
private func bytes(of string: UnsafePointer<ASN1_STRING>?) -> [UInt8] {
    guard let string = unsafe string, let start = unsafe cssl_string_data(string) else { return [] }
    let count = Int(unsafe ASN1_STRING_length(string))
    return unsafe Array(UnsafeBufferPointer(start: start, count: count))
}

/// An ASN.1 string as text; a NUL or another byte that is no name stays visible as an escape.
private func text(of string: UnsafePointer<ASN1_STRING>?) -> String {
    var text = ""
    for byte in unsafe bytes(of: string) {
        if (0x20..<0x7f).contains(byte) {
            text.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            let digits = String(byte, radix: 16)
            text += "\\x" + (digits.count == 1 ? "0" : "") + digits
        }
    }
    return text
}

/// The name of an EC key's curve as NIST writes it, else OpenSSL's; nil for other keys.
private func curveName(of key: OpaquePointer) -> String? {
    var buffer = [CChar](repeating: 0, count: 80)
    var length = 0
    let found = unsafe EVP_PKEY_get_group_name(key, &buffer, buffer.count, &length)
    guard found == 1 else { return nil }
    let name = String(decoding: buffer.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
    return switch name {
    case "prime256v1": "P-256"
    case "secp384r1": "P-384"
    case "secp521r1": "P-521"
    default: name
    }
}
