// An identity in one file: PKCS #12, as browsers, Java and Windows keep it (RFC 7292).

import COpenSSL

extension TLSIdentity {
    /// Reads an identity from a PKCS #12 file.
    ///
    /// The leaf is the certificate of the first key that has one; its chain is put in order, and what
    /// does not belong to it is left out.
    ///
    /// - Parameters:
    ///   - pkcs12: The file's bytes.
    ///   - passphrase: Opens it, in UTF-8; nil for one without, which is tried as none and as empty.
    ///   - library: The library context it is read in; nil is the process's. Files of old programs are
    ///     encrypted by RC2, which only ``TLSLibrary/legacy()`` reads.
    /// - Throws: ``TLSError`` `.invalidKeyStore`, `.wrongPassphrase`, `.unsupportedEncryption`, or
    ///   `.keyMismatch`.
    /// - Note: OpenSSL `PKCS12_parse`.
    public init(
        pkcs12: [UInt8],
        passphrase: SecretBytes? = nil,
        library: TLSLibrary? = nil
    ) throws(TLSError) {
        let archive = try PKCS12Archive(reading: pkcs12, library)
        let phrase = try archive.check(try PKCS12Archive.text(of: passphrase))
        self = try archive.contents(phrase).identity(of: "the PKCS #12 file")
    }
}

/// A PKCS #12 file.
@safe
private struct PKCS12Archive: ~Copyable {
    /// The most rounds of the derivation of the file's key from its passphrase; OpenSSL writes 2,048,
    /// Java 10,000, careful programs a million.
    private static let roundsMax = 10_000_000

    private let pointer: OpaquePointer

    init(reading bytes: [UInt8], _ library: TLSLibrary?) throws(TLSError) {
        ErrorQueue.clear()
        var pointer = unsafe PKCS12_init_ex(
            NID_pkcs7_data,
            library?.pointer,
            library?.properties
        )
        let read = unsafe bytes.withUnsafeBufferPointer { buffer in
            var cursor = buffer.baseAddress
            // Frees what it was given when it cannot read.
            return unsafe d2i_PKCS12(&pointer, &cursor, buffer.count)
        }
        guard let read = unsafe read else {
            let isText = bytes.starts(with: Array("-----BEGIN".utf8))
            throw ErrorQueue.error(
                .invalidKeyStore,
                "this is no PKCS #12 file",
                hint: isText ? "It is PEM: give certificate and privateKey" : nil
            )
        }
        unsafe self.pointer = read
    }

    deinit { unsafe PKCS12_free(pointer) }

    /// A passphrase as OpenSSL takes it here: a C string, wiped like the original.
    static func text(of passphrase: SecretBytes?) throws(TLSError) -> SecretBytes? {
        guard let passphrase else { return nil }
        let hasEnd = passphrase.withBytes { bytes in
            bytes.indices.contains { bytes[$0] == 0 }
        }
        guard !hasEnd else {
            throw TLSError(.wrongPassphrase, detail: "a byte of it is zero")
        }
        let text = SecretBytes(count: passphrase.count + 1)
        unsafe passphrase.withPointer { source, count in
            unsafe text.pointer.update(from: source, count: count)
        }
        return text
    }

    /// Finds out by the file's check sum whether a passphrase opens it.
    ///
    /// - Returns: The passphrase to go on with: of two ways to have none, the one of this file.
    func check(_ passphrase: SecretBytes?) throws(TLSError) -> SecretBytes? {
        // Nothing to check it by: what is inside tells.
        guard unsafe PKCS12_mac_present(pointer) == 1 else { return passphrase }
        var rounds: UnsafePointer<ASN1_INTEGER>?
        unsafe PKCS12_get0_mac(nil, nil, nil, &rounds, pointer)
        let count = unsafe rounds == nil ? 1 : ASN1_INTEGER_get(rounds)
        guard count > 0, count <= PKCS12Archive.roundsMax else {
            throw TLSError(
                .invalidKeyStore,
                detail: "the passphrase goes through \(count) rounds, which would take too long",
                hint: "At most \(PKCS12Archive.roundsMax) are taken"
            )
        }
        ErrorQueue.clear()
        let candidates = passphrase.map { [$0] } ?? [nil, SecretBytes(count: 1)]
        for candidate in candidates where opens(candidate) {
            ErrorQueue.clear()
            return candidate
        }
        let reasons = ErrorQueue.drain()
        guard !reasons.lackAlgorithm else { throw unsupported(reasons) }
        throw TLSError(
            .wrongPassphrase,
            detail: passphrase == nil
                ? "the PKCS #12 file is encrypted" : "it does not open the PKCS #12 file",
            reasons: reasons
        )
    }

    private func opens(_ passphrase: SecretBytes?) -> Bool {
        guard let passphrase else { return unsafe PKCS12_verify_mac(pointer, nil, 0) == 1 }
        return unsafe passphrase.withPointer { start, count in
            unsafe start.withMemoryRebound(to: CChar.self, capacity: count) {
                unsafe PKCS12_verify_mac(pointer, $0, CInt(count - 1)) == 1
            }
        }
    }

    /// Opens it.
    func contents(_ passphrase: SecretBytes?) throws(TLSError) -> KeyChain {
        ErrorQueue.clear()
        var key: OpaquePointer?
        var leaf: OpaquePointer?
        var others: OpaquePointer?
        let isOpen: CInt
        if let passphrase {
            isOpen = unsafe passphrase.withPointer { start, count in
                unsafe start.withMemoryRebound(to: CChar.self, capacity: count) {
                    unsafe PKCS12_parse(pointer, $0, &key, &leaf, &others)
                }
            }
        } else {
            isOpen = unsafe PKCS12_parse(pointer, nil, &key, &leaf, &others)
        }
        let reasons = ErrorQueue.drain()
        var chain = KeyChain()
        if let key = unsafe key { chain.keys = [unsafe PrivateKeyHandle(owning: key)] }
        if let leaf = unsafe leaf {
            chain.certificates = [Certificate(unsafe X509Handle(owning: leaf))]
        }
        chain.certificates += unsafe SSLConnection.certificates(others)
        unsafe cssl_x509_stack_free_all(others)
        guard isOpen == 1 else {
            guard !reasons.lackAlgorithm else { throw unsupported(reasons) }
            throw TLSError(
                .invalidKeyStore,
                detail: ["the PKCS #12 file cannot be opened", reasons.last?.text]
                    .compactMap(\.self).joined(separator: ": "),
                hint: "Check the passphrase: this file has no check sum of it",
                reasons: reasons
            )
        }
        return chain
    }

    private func unsupported(_ reasons: [OpenSSLReason]) -> TLSError {
        TLSError(
            .unsupportedEncryption,
            detail: "the PKCS #12 file is of an old program, which encrypts by RC2 or the like",
            hint:
                "Export it anew by a current program, or give TLSLibrary.legacy() as its library",
            reasons: reasons
        )
    }
}

extension TLSIdentity {
    /// Puts together what belongs together.
    init(chain: [Certificate], key: PrivateKeyHandle) {
        certificateChain = chain
        self.key = key
        external = nil
    }
}
