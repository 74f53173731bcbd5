// A read-only view of an X.509 certificate (RFC 5280): who it is for, who issued it, when it is
// valid, and what key it carries. OpenSSL holds the parsed form.

import COpenSSL

/// An X.509 certificate.
///
/// Equal when the DER is. Reading never fails after it was made; what a certificate lacks is nil
/// or empty.
public struct Certificate: Sendable {
    let handle: X509Handle
    /// The certificate in DER.
    public let der: [UInt8]

    /// Reads one certificate.
    ///
    /// - Parameter der: One DER certificate and nothing behind it.
    /// - Throws: ``TLSError`` `.invalidCertificate`.
    /// - Note: OpenSSL `d2i_X509`.
    public init(der: [UInt8]) throws(TLSError) {
        ErrorQueue.clear()
        let (pointer, used) = unsafe der.withUnsafeBufferPointer { bytes in
            var cursor = bytes.baseAddress
            let pointer = unsafe d2i_X509(nil, &cursor, bytes.count)
            let used = unsafe cursor.map { unsafe $0 - (bytes.baseAddress ?? $0) } ?? 0
            return unsafe (pointer, used)
        }
        guard let pointer = unsafe pointer else {
            throw ErrorQueue.error(.invalidCertificate)
        }
        let handle = unsafe X509Handle(owning: pointer)
        guard used == der.count else {
            throw TLSError(.invalidCertificate, detail: "bytes follow the certificate")
        }
        // OpenSSL also reads what is not quite DER, such as a length with zeros in front, and writes
        // DER of it: that is what a peer gets, and what the fingerprint is of.
        self.init(handle)
    }

    /// Wraps a certificate that OpenSSL already has.
    init(_ handle: X509Handle) {
        self.handle = handle
        var start: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_X509(handle.pointer, &start)
        guard let start = unsafe start, count > 0 else {
            der = []
            return
        }
        der = unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
        unsafe cssl_free(start)
    }

    /// Reads certificates from PEM text or from one DER certificate.
    ///
    /// - Parameter bytes: PEM with one or more certificates (text around them is ignored), or DER.
    /// - Returns: The certificates in order, at least one.
    /// - Throws: ``TLSError`` `.invalidCertificate`.
    public static func read(_ bytes: [UInt8]) throws(TLSError) -> [Certificate] {
        guard PEMText.isPEM(bytes) else { return [try Certificate(der: bytes)] }
        ErrorQueue.clear()
        var certificates: [Certificate] = []
        let failure = unsafe bytes.withUnsafeBytes { buffer -> TLSError? in
            guard let bio = unsafe MemoryBIO(reading: buffer) else {
                return ErrorQueue.error(.internalError)
            }
            // OpenSSL's own callback would ask for a passphrase on the terminal.
            while let pointer = unsafe PEM_read_bio_X509_AUX(bio.pointer, nil, refuse, nil) {
                certificates.append(Certificate(unsafe X509Handle(owning: pointer)))
            }
            let reasons = ErrorQueue.drain()
            // The end of the text shows as "no start line".
            let atEnd = reasons.last.map {
                $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE
            }
            guard atEnd == true else {
                return TLSError(
                    .invalidCertificate,
                    detail: reasons.last?.text,
                    reasons: reasons
                )
            }
            return nil
        }
        if let failure { throw failure }
        guard !certificates.isEmpty else {
            throw TLSError(.invalidCertificate, detail: "the PEM text holds no certificate")
        }
        return certificates
    }

    /// The certificate in PEM, with a line feed at its end.
    public var pem: String {
        guard let bio = MemoryBIO() else { return "" }
        _ = unsafe cssl_pem_write_x509(bio.pointer, handle.pointer)
        return bio.text
    }

    /// The SHA-256 digest of the DER, 32 bytes.
    public var sha256Fingerprint: [UInt8] { OpenSSLLibrary.sha256(der) }
}

extension Certificate: Hashable {
    /// Compares the DER.
    public static func == (left: Certificate, right: Certificate) -> Bool { left.der == right.der }

    /// Hashes the DER.
    public func hash(into hasher: inout Hasher) { hasher.combine(der) }
}

extension Certificate: CustomStringConvertible {
    /// The subject and the end of the validity.
    public var description: String { "\(shortName), valid until \(notAfter)" }

    /// The common name, or the first alternative name, or the subject.
    public var shortName: String {
        commonName ?? subjectAlternativeNames.first?.description
            ?? (subject.isEmpty ? "no subject" : subject)
    }
}

/// Text armour around DER (RFC 7468).
enum PEMText {
    static func isPEM(_ bytes: [UInt8]) -> Bool {
        // DER of anything read here begins with a SEQUENCE whose length fits, which no text does:
        // the second character of a text would have to be a control or no ASCII.
        guard bytes.count >= 2, bytes[0] == 0x30 else { return true }
        return bytes[1] < 0x80 && Int(bytes[1]) + 2 != bytes.count
    }
}

/// OpenSSL's `pem_password_cb` for what is never encrypted.
@c(sockets_refuse_passphrase)
private func refuse(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: CInt,
    _ isWriting: CInt,
    _ context: UnsafeMutableRawPointer?
) -> CInt { -1 }
