internal import COpenSSL

/// OpenSSL's own verdict on a chain, at a time of the caller's choosing.
///
/// The kit's tests use it to hold every certificate against `X509_verify_cert`; it knows nothing of
/// how the kit writes certificates.
package struct ChainVerification: Sendable {
    /// What the leaf is wanted for.
    package enum Purpose: Sendable { case server, client, any }

    /// The certificates trusted, in DER.
    package var anchors: [[UInt8]]
    /// The time to verify at, in seconds since 1970.
    package var unixSeconds: Int64
    package var purpose: Purpose = .any
    /// DNS name, address or mail address the leaf must be for; nil does not check.
    package var host: String?
    package var address: String?
    package var email: String?
    /// Whether RFC 5280 is held against the chain to the letter (`X509_V_FLAG_X509_STRICT`).
    package var isStrict = true
    /// The security level that keys and hashes must have (`SSL_CTX_set_security_level`); 0 for any.
    package var securityLevel: Int32 = 0
    /// Revocation lists in DER; the leaf is looked for in them if there are any, or if
    /// ``requiresRevocationList`` is set.
    package var revocationLists: [[UInt8]] = []
    /// Whether a revocation list of the leaf's issuer must be there.
    package var requiresRevocationList = false

    package init(anchors: [[UInt8]], unixSeconds: Int64) {
        self.anchors = anchors
        self.unixSeconds = unixSeconds
    }

    /// The answer: `X509_V_OK` or `X509_V_ERR_…`, and where in the chain it arose.
    package struct Verdict: Sendable, Hashable, CustomStringConvertible {
        package let code: Int32
        /// 0 is the leaf.
        package let depth: Int32

        package init(code: Int32, depth: Int32) {
            self.code = code
            self.depth = depth
        }

        package var isTrusted: Bool { code == X509_V_OK }
        package var description: String {
            // The string is static.
            let text = unsafe String(cString: X509_verify_cert_error_string(Int(code)))
            return "\(code) at depth \(depth): \(text)"
        }
    }

    /// Verifies the first certificate of `chain`, the others helping to reach an anchor.
    ///
    /// - Throws: ``TestKitError`` `.openSSL` if something cannot be parsed.
    package func verify(_ chain: [[UInt8]]) throws(TestKitError) -> Verdict {
        guard let first = chain.first else {
            throw TestKitError(.invalidRecipe, "an empty chain cannot be verified")
        }
        let leaf = try ParsedCertificate(first)
        let store = try CertificateStore()
        for anchor in anchors { try store.add(ParsedCertificate(anchor)) }
        for list in revocationLists { try store.add(revocationList: list) }
        let others = try CertificateStack()
        for other in chain.dropFirst() { try others.push(ParsedCertificate(other)) }
        return try VerifyContext().verify(leaf, store, others, self)
    }
}

/// Owner of an `X509_STORE`.
@safe
private struct CertificateStore: ~Copyable {
    let pointer: OpaquePointer

    init() throws(TestKitError) {
        unsafe pointer = try openSSL("allocate a store") { unsafe X509_STORE_new() }
    }

    deinit { unsafe X509_STORE_free(pointer) }

    /// The store takes a reference of its own.
    func add(_ certificate: borrowing ParsedCertificate) throws(TestKitError) {
        let anchor = unsafe certificate.pointer
        try openSSL(status: "trust a certificate") { unsafe X509_STORE_add_cert(pointer, anchor) }
    }

    func add(revocationList der: [UInt8]) throws(TestKitError) {
        let list = unsafe try openSSL("parse a revocation list") {
            unsafe der.withUnsafeBufferPointer { buffer in
                var position = buffer.baseAddress
                return unsafe d2i_X509_CRL(nil, &position, buffer.count)
            }
        }
        // The store takes a reference of its own.
        defer { unsafe X509_CRL_free(list) }
        try openSSL(status: "add a revocation list") { unsafe X509_STORE_add_crl(pointer, list) }
    }
}

/// Owner of an `X509_STORE_CTX`.
@safe
private struct VerifyContext: ~Copyable {
    private let pointer: OpaquePointer

    init() throws(TestKitError) {
        unsafe pointer = try openSSL("allocate a verifier") { unsafe X509_STORE_CTX_new() }
    }

    deinit { unsafe X509_STORE_CTX_free(pointer) }

    /// Runs the verifier; a refusal is an answer, not an error.
    ///
    /// The context only borrows its arguments, which live at least as long as this call.
    func verify(
        _ leaf: borrowing ParsedCertificate,
        _ store: borrowing CertificateStore,
        _ others: borrowing CertificateStack,
        _ request: ChainVerification
    ) throws(TestKitError) -> ChainVerification.Verdict {
        let (anchors, target, helpers) = unsafe (store.pointer, leaf.pointer, others.pointer)
        try openSSL(status: "start a verifier") {
            unsafe X509_STORE_CTX_init(pointer, anchors, target, helpers)
        }
        try configure(request)
        unsafe X509_verify_cert(pointer)
        ERR_clear_error()
        return ChainVerification.Verdict(
            code: unsafe X509_STORE_CTX_get_error(pointer),
            depth: unsafe X509_STORE_CTX_get_error_depth(pointer)
        )
    }

    private func configure(_ request: ChainVerification) throws(TestKitError) {
        // Belongs to the context.
        let parameters = unsafe X509_STORE_CTX_get0_param(pointer)
        unsafe X509_VERIFY_PARAM_set_time(parameters, Int(request.unixSeconds))
        unsafe X509_VERIFY_PARAM_set_hostflags(parameters, cssl_kit_never_check_subject())
        if request.isStrict {
            try openSSL(status: "ask for strictness") {
                unsafe X509_VERIFY_PARAM_set_flags(parameters, cssl_kit_verify_strict())
            }
        }
        unsafe X509_VERIFY_PARAM_set_auth_level(parameters, request.securityLevel)
        if request.requiresRevocationList || !request.revocationLists.isEmpty {
            try openSSL(status: "ask for revocation lists") {
                unsafe X509_VERIFY_PARAM_set_flags(parameters, cssl_kit_verify_crl())
            }
        }
        let purpose: Int32? =
            switch request.purpose {
            case .server: X509_PURPOSE_SSL_SERVER
            case .client: X509_PURPOSE_SSL_CLIENT
            case .any: nil
            }
        if let purpose {
            try openSSL(status: "ask for a purpose") {
                unsafe X509_VERIFY_PARAM_set_purpose(parameters, purpose)
            }
        }
        if let host = request.host {
            try openSSL(status: "ask for a host") {
                unsafe X509_VERIFY_PARAM_set1_host(parameters, host, host.utf8.count)
            }
        }
        if let address = request.address {
            try openSSL(status: "ask for an address") {
                unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, address)
            }
        }
        if let email = request.email {
            try openSSL(status: "ask for a mail address") {
                unsafe X509_VERIFY_PARAM_set1_email(parameters, email, email.utf8.count)
            }
        }
    }
}
