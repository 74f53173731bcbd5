// Keys and certificates by URI, through OpenSSL's store: `file:` and plain paths everywhere, other
// schemes such as `pkcs11:` where a provider for them is loaded.

import COpenSSL

extension TLSIdentity {
    /// Reads an identity from where URIs say it is.
    ///
    /// Blocks for as long as the place takes, which for a hardware module may be long: on an event loop
    /// use the async form. The chain is put in order, and what does not belong to it is left out.
    ///
    /// A key that stays where it is, as in a hardware module, signs there when a handshake needs it, on
    /// the thread of that handshake; where it takes its time, see `signingOffLoop`.
    ///
    /// - Parameters:
    ///   - uri: Where the key is, for example `file:/etc/tls/server.p12` or `pkcs11:token=a;object=b`;
    ///     a path is a file. Certificates beside it are read too.
    ///   - certificateURI: Where the certificates are; nil when they are with the key.
    ///   - passphrase: Opens what is encrypted, and is the PIN of a token. OpenSSL never asks on the
    ///     terminal.
    ///   - library: The library context whose providers know the scheme; nil is the process's.
    /// - Throws: ``TLSError`` `.invalidKeyStore`, `.wrongPassphrase`, `.unsupportedEncryption`, or
    ///   `.keyMismatch`.
    /// - Note: OpenSSL `OSSL_STORE_open_ex`.
    public init(
        uri: String,
        certificateURI: String? = nil,
        passphrase: SecretBytes? = nil,
        library: TLSLibrary? = nil
    ) throws(TLSError) {
        var chain = try KeyStore.contents(of: uri, passphrase, library)
        if let certificateURI {
            let others = try KeyStore.contents(of: certificateURI, passphrase, library)
            chain.certificates += others.certificates
        }
        self = try chain.identity(of: uri)
    }
}

extension Certificate {
    /// Reads certificates from where a URI says they are.
    ///
    /// Blocks for as long as the place takes; on an event loop use the async form.
    ///
    /// - Parameters:
    ///   - uri: The place; a path is a file.
    ///   - passphrase: Opens what is encrypted.
    ///   - library: The library context whose providers know the scheme; nil is the process's.
    /// - Returns: At least one.
    /// - Throws: ``TLSError`` `.invalidKeyStore`, `.wrongPassphrase` or `.unsupportedEncryption`.
    /// - Note: OpenSSL `OSSL_STORE_open_ex`.
    public static func read(
        uri: String,
        passphrase: SecretBytes? = nil,
        library: TLSLibrary? = nil
    ) throws(TLSError) -> [Certificate] {
        let found = try KeyStore.contents(of: uri, passphrase, library).certificates
        guard !found.isEmpty else {
            throw TLSError(.invalidKeyStore, detail: "\(uri) holds no certificate")
        }
        return found
    }
}

extension TrustPolicy {
    /// Makes a policy that trusts exactly the certificates at a URI.
    ///
    /// Blocks for as long as the place takes; on an event loop read them by the async form of
    /// ``Certificate/read(uri:passphrase:library:)`` before.
    ///
    /// - Parameters:
    ///   - uri: The place; a path is a file.
    ///   - library: The library context whose providers know the scheme; nil is the process's.
    /// - Throws: ``TLSError`` `.invalidKeyStore`.
    public init(anchorsAt uri: String, library: TLSLibrary? = nil) throws(TLSError) {
        self.init(anchors: try Certificate.read(uri: uri, library: library))
    }
}

private enum KeyStore {
    /// The most keys and certificates of one place.
    private static let itemsMax = 10_000

    /// Reads all keys and certificates of a place.
    static func contents(
        of uri: String,
        _ passphrase: SecretBytes?,
        _ library: TLSLibrary?
    ) throws(TLSError) -> KeyChain {
        guard !uri.utf8.contains(0) else {
            throw TLSError(.invalidKeyStore, detail: "a character of the URI is zero")
        }
        ErrorQueue.clear()
        // The passphrase outlives the calls.
        let secret = unsafe passphrase.map { unsafe UnsafeRawBufferPointer($0.buffer) }
        var phrase = unsafe Passphrase(bytes: secret)
        let (chain, reasons) = unsafe withUnsafeMutablePointer(to: &phrase) {
            unsafe read(uri, $0, library)
        }
        withExtendedLifetime(passphrase) {}
        guard chain.keys.isEmpty, chain.certificates.isEmpty else { return chain }
        throw error(uri, reasons, wasAsked: phrase.wasAsked, hasPassphrase: passphrase != nil)
    }

    private static func read(
        _ uri: String,
        _ phrase: UnsafeMutablePointer<Passphrase>,
        _ library: TLSLibrary?
    ) -> (KeyChain, [OpenSSLReason]) {
        var chain = KeyChain()
        // Without one OpenSSL would ask on the terminal.
        guard let method = unsafe UI_UTIL_wrap_read_pem_callback(givePassphrase, 0) else {
            return (chain, ErrorQueue.drain())
        }
        defer { unsafe UI_destroy_method(method) }
        let store = unsafe OSSL_STORE_open_ex(
            uri,
            library?.pointer,
            library?.properties,
            method,
            phrase,
            nil,
            nil,
            nil
        )
        guard let store = unsafe store else { return (chain, ErrorQueue.drain()) }
        var reasons: [OpenSSLReason] = []
        var left = itemsMax
        while left > 0, unsafe OSSL_STORE_eof(store) == 0 {
            left -= 1
            guard let item = unsafe OSSL_STORE_load(store) else {
                // What cannot be read is passed over; that it was matters where there is nothing else.
                reasons += ErrorQueue.drain()
                guard unsafe OSSL_STORE_error(store) == 1 else { continue }
                break
            }
            unsafe take(item, &chain)
            unsafe OSSL_STORE_INFO_free(item)
        }
        unsafe OSSL_STORE_close(store)
        ErrorQueue.clear()
        return (chain, reasons)
    }

    private static func take(_ item: OpaquePointer, _ chain: inout KeyChain) {
        switch unsafe OSSL_STORE_INFO_get_type(item) {
        case OSSL_STORE_INFO_PKEY:
            guard let key = unsafe OSSL_STORE_INFO_get1_PKEY(item) else { return }
            chain.keys.append(unsafe PrivateKeyHandle(owning: key))
        case OSSL_STORE_INFO_CERT:
            guard let certificate = unsafe OSSL_STORE_INFO_get1_CERT(item) else { return }
            chain.certificates.append(Certificate(unsafe X509Handle(owning: certificate)))
        default: break
        }
    }

    private static func error(
        _ uri: String,
        _ reasons: [OpenSSLReason],
        wasAsked: Bool,
        hasPassphrase: Bool
    ) -> TLSError {
        let detail = [uri, reasons.last?.text].compactMap(\.self).joined(separator: ": ")
        let isUnknown = reasons.contains {
            $0.library == ERR_LIB_OSSL_STORE
                && ($0.reason == OSSL_STORE_R_UNREGISTERED_SCHEME
                    || $0.reason == cssl_error_unsupported())
        }
        if isUnknown, !uri.hasPrefix("/"), !uri.hasPrefix("file:"), uri.contains(":") {
            return TLSError(
                .invalidKeyStore,
                detail: detail,
                hint:
                    "No provider that is loaded knows this scheme: name one in a TLSLibrary, for "
                    + "example pkcs11",
                reasons: reasons
            )
        }
        if reasons.lackAlgorithm {
            return TLSError(
                .unsupportedEncryption,
                detail: detail,
                // OpenSSL 3.0's store opens such a file in the process's own context, whatever it is given.
                hint:
                    "Encrypt it anew by a current program, or give the file's bytes to "
                    + "TLSIdentity(pkcs12:passphrase:library:) with TLSLibrary.legacy()",
                reasons: reasons
            )
        }
        if wasAsked {
            let detail = hasPassphrase ? uri : "\(uri) is encrypted"
            return TLSError(.wrongPassphrase, detail: detail, reasons: reasons)
        }
        return TLSError(.invalidKeyStore, detail: detail, reasons: reasons)
    }
}
