// A revocation list (RFC 5280 §5), read once and shared by the policies that hold it.

import COpenSSL

/// A certificate revocation list.
///
/// Equal when the DER is. Reading judges nothing; the lists of a policy are judged with each chain.
public struct CertificateRevocationList: Sendable {
    let handle: X509CRLHandle
    /// The SHA-256 digest of the DER, 32 bytes.
    public let sha256Fingerprint: [UInt8]

    /// Reads one list.
    ///
    /// - Parameter der: One list in DER and nothing behind it.
    /// - Throws: ``TLSError`` `.invalidRevocationList`.
    /// - Note: OpenSSL `d2i_X509_CRL`.
    public init(der: [UInt8]) throws(TLSError) {
        ErrorQueue.clear()
        let (pointer, used) = unsafe der.withUnsafeBufferPointer { bytes in
            var cursor = bytes.baseAddress
            let pointer = unsafe d2i_X509_CRL(nil, &cursor, bytes.count)
            let used = unsafe cursor.map { unsafe $0 - (bytes.baseAddress ?? $0) } ?? 0
            return unsafe (pointer, used)
        }
        guard let pointer = unsafe pointer else { throw ErrorQueue.error(.invalidRevocationList) }
        let handle = unsafe X509CRLHandle(owning: pointer)
        guard used == der.count else {
            throw TLSError(.invalidRevocationList, detail: "bytes follow the list")
        }
        self.init(handle)
    }

    private init(_ handle: X509CRLHandle) {
        self.handle = handle
        sha256Fingerprint = OpenSSLLibrary.sha256(handle.der)
    }

    /// Reads lists from PEM text or from one list in DER.
    ///
    /// - Parameter bytes: PEM with one or more lists (text around them is ignored), or DER.
    /// - Returns: The lists in order, at least one.
    /// - Throws: ``TLSError`` `.invalidRevocationList`.
    /// - Note: OpenSSL `PEM_read_bio_X509_CRL`.
    public static func read(_ bytes: [UInt8]) throws(TLSError) -> [CertificateRevocationList] {
        guard PEMText.isPEM(bytes) else { return [try CertificateRevocationList(der: bytes)] }
        ErrorQueue.clear()
        var lists: [CertificateRevocationList] = []
        let failure = unsafe bytes.withUnsafeBytes { buffer -> TLSError? in
            guard let bio = unsafe MemoryBIO(reading: buffer) else {
                return ErrorQueue.error(.internalError)
            }
            while let pointer = unsafe PEM_read_bio_X509_CRL(bio.pointer, nil, noPassphrase, nil) {
                lists.append(CertificateRevocationList(unsafe X509CRLHandle(owning: pointer)))
            }
            let reasons = ErrorQueue.drain()
            // The end of the text shows as "no start line".
            let atEnd = reasons.last.map {
                $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE
            }
            guard atEnd == true else {
                let detail = reasons.last?.text
                return TLSError(.invalidRevocationList, detail: detail, reasons: reasons)
            }
            return nil
        }
        if let failure { throw failure }
        guard !lists.isEmpty else {
            throw TLSError(.invalidRevocationList, detail: "the PEM text holds no list")
        }
        return lists
    }

    /// The list in DER.
    public var der: [UInt8] { handle.der }

    /// The issuer (RFC 2253 form).
    public var issuer: String {
        guard let name = unsafe X509_CRL_get_issuer(handle.pointer), let bio = MemoryBIO() else {
            return ""
        }
        unsafe X509_NAME_print_ex(bio.pointer, name, 0, cssl_name_print_flags())
        return bio.text
    }

    /// When the list was made.
    public var thisUpdate: UnixTime {
        let time = unsafe UnixTime(asn1: X509_CRL_get0_lastUpdate(handle.pointer))
        return time ?? UnixTime(seconds: 0)
    }

    /// When the next list comes at the latest; nil when it does not say.
    public var nextUpdate: UnixTime? {
        unsafe UnixTime(asn1: X509_CRL_get0_nextUpdate(handle.pointer))
    }

    /// How many certificates it names.
    public var count: Int {
        max(0, Int(unsafe cssl_revoked_count(X509_CRL_get_REVOKED(handle.pointer))))
    }
}

extension CertificateRevocationList: Hashable {
    /// Compares the digests of the DER.
    public static func == (left: Self, right: Self) -> Bool {
        left.sha256Fingerprint == right.sha256Fingerprint
    }

    /// Hashes the digest of the DER.
    public func hash(into hasher: inout Hasher) { hasher.combine(sha256Fingerprint) }
}

extension CertificateRevocationList: CustomStringConvertible {
    /// The issuer, how many certificates it names, and when the next comes.
    public var description: String {
        "\(issuer), \(count) revoked, next \(nextUpdate.map(\.description) ?? "not told")"
    }
}

/// A revocation list; immutable once read.
@safe
final class X509CRLHandle: @unchecked Sendable {
    // Sendable: OpenSSL sorts the entries under a lock when it first searches them.
    let pointer: OpaquePointer

    /// Takes over one reference.
    init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit { unsafe X509_CRL_free(pointer) }

    /// What OpenSSL writes of it.
    var der: [UInt8] {
        var start: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_X509_CRL(pointer, &start)
        guard let start = unsafe start, count > 0 else { return [] }
        defer { unsafe cssl_free(start) }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }
}

/// Lists lent to one verification.
@safe
struct X509CRLStack: ~Copyable {
    let pointer: OpaquePointer

    /// Makes a stack; nil when out of memory.
    ///
    /// - Parameter lists: Must outlive it.
    init?(_ lists: [CertificateRevocationList]) {
        guard let stack = unsafe cssl_crl_stack_new() else { return nil }
        for list in lists {
            guard unsafe cssl_crl_stack_push(stack, list.handle.pointer) > 0 else {
                unsafe cssl_crl_stack_free(stack)
                return nil
            }
        }
        unsafe pointer = stack
    }

    // The lists belong to their handles.
    deinit { unsafe cssl_crl_stack_free(pointer) }
}

extension UnixTime {
    /// Reads a time of ASN.1; nil when there is none, or it is none.
    init?(asn1 time: UnsafePointer<ASN1_TIME>?) {
        guard let time = unsafe time, let epoch = unsafe ASN1_TIME_set(nil, 0) else { return nil }
        defer { unsafe ASN1_STRING_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard unsafe ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return nil }
        self.init(seconds: Int64(days) * 86400 + Int64(seconds))
    }
}

/// OpenSSL's `pem_password_cb` for what is never encrypted.
@c(sockets_no_passphrase)
private func noPassphrase(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: CInt,
    _ isWriting: CInt,
    _ context: UnsafeMutableRawPointer?
) -> CInt { -1 }
