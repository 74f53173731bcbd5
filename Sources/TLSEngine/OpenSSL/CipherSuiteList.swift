// Cipher suites by name. OpenSSL ignores a name it does not know as long as one other fits; a typing
// error in a policy must not pass silently, so every name is looked up first.

import COpenSSL

/// A list of suite names, split into TLS 1.3 and older, in OpenSSL's names.
struct CipherSuiteList {
    var tls13: [String] = []
    var tls12: [String] = []

    /// Looks up names.
    ///
    /// - Parameter names: IANA or OpenSSL names.
    /// - Throws: ``TLSError`` `.invalidCipherSuite` for one that is unknown, or an empty list.
    init(_ names: [String]) throws(TLSError) {
        for name in names {
            guard let suite = CipherSuiteList.known[name] else {
                throw TLSError(
                    .invalidCipherSuite,
                    detail: name,
                    hint: "`openssl ciphers -stdname ALL` lists the names of this machine"
                )
            }
            if suite.version == "TLSv1.3" {
                tls13.append(suite.name)
            } else {
                tls12.append(suite.name)
            }
        }
        guard !names.isEmpty else {
            throw TLSError(.invalidCipherSuite, detail: "the list is empty")
        }
    }

    /// Every suite of the library by both of its names.
    private static let known: [String: CipherSuite] = {
        var table: [String: CipherSuite] = [:]
        guard let context = unsafe SSL_CTX_new(TLS_method()) else { return table }
        defer { unsafe SSL_CTX_free(context) }
        unsafe SSL_CTX_set_cipher_list(context, "ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        let thirteen =
            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
            + "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"
        unsafe SSL_CTX_set_ciphersuites(context, thirteen)
        let stack = unsafe SSL_CTX_get_ciphers(context)
        for place in 0..<(unsafe cssl_cipher_stack_count(stack)) {
            guard let cipher = unsafe cssl_cipher_stack_value(stack, place) else { continue }
            let suite = unsafe CipherSuite(cipher)
            table[suite.name] = suite
            table[suite.standardName] = suite
        }
        ErrorQueue.clear()
        return table
    }()
}

extension CipherSuite {
    /// Reads what OpenSSL says about a suite.
    init(_ cipher: OpaquePointer) {
        let text = { (pointer: UnsafePointer<CChar>?) in
            unsafe pointer.map { unsafe String(cString: $0) } ?? ""
        }
        self.init(
            id: unsafe SSL_CIPHER_get_protocol_id(cipher),
            name: unsafe text(SSL_CIPHER_get_name(cipher)),
            standardName: unsafe text(SSL_CIPHER_standard_name(cipher)),
            version: unsafe text(SSL_CIPHER_get_version(cipher)),
            bits: Int(unsafe SSL_CIPHER_get_bits(cipher, nil))
        )
    }
}
