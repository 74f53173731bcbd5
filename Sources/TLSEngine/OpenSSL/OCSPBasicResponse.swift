// An OCSP response as OpenSSL reads it (RFC 6960 §4.2.1), in the package's own types.

import COpenSSL

/// The signed part of a successful response.
@safe
struct OCSPBasicResponse: ~Copyable {
    private let pointer: OpaquePointer

    /// What is said of one certificate.
    struct Statement {
        var status: OCSPStaple.Status
        var thisUpdate: UnixTime
        var nextUpdate: UnixTime?
        var hasCriticalExtension: Bool
    }

    /// Reads a response.
    ///
    /// - Parameter der: A response and nothing behind it.
    /// - Throws: `OCSPProblem` for what is none, and for one that says it was not successful.
    init(_ der: [UInt8]) throws(OCSPProblem) {
        let (response, used) = unsafe der.withUnsafeBufferPointer { bytes in
            var cursor = bytes.baseAddress
            let response = unsafe d2i_OCSP_RESPONSE(nil, &cursor, bytes.count)
            let used = unsafe cursor.map { unsafe $0 - (bytes.baseAddress ?? $0) } ?? 0
            return unsafe (response, used)
        }
        guard let response = unsafe response else {
            throw OCSPProblem(.stapleMalformed, "the staple is no OCSP response")
        }
        defer { unsafe OCSP_RESPONSE_free(response) }
        guard used == der.count else {
            throw OCSPProblem(.stapleMalformed, "bytes follow the stapled response")
        }
        if let problem = OCSPBasicResponse.problem(of: unsafe OCSP_response_status(response)) {
            throw problem
        }
        guard let basic = unsafe OCSP_response_get1_basic(response) else {
            throw OCSPProblem(.stapleMalformed, "the stapled response says nothing")
        }
        unsafe pointer = basic
    }

    deinit { unsafe OCSP_BASICRESP_free(pointer) }

    private static func problem(of status: CInt) -> OCSPProblem? {
        switch status {
        case OCSP_RESPONSE_STATUS_SUCCESSFUL: nil
        case OCSP_RESPONSE_STATUS_TRYLATER:
            OCSPProblem(.stapleTryLater, "the staple says that the responder cannot answer now")
        case OCSP_RESPONSE_STATUS_UNAUTHORIZED:
            OCSPProblem(
                .stapleUnauthorized,
                "the staple says that the responder is not responsible"
            )
        case OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, OCSP_RESPONSE_STATUS_INTERNALERROR,
            OCSP_RESPONSE_STATUS_SIGREQUIRED:
            OCSPProblem(.stapleResponderFailed, "the staple says that the responder failed")
        default: OCSPProblem(.stapleMalformed, "the staple has an unknown status, \(status)")
        }
    }

    /// The extension of the first statement that holds timestamps (RFC 6962 §3.3); nil without it.
    var timestampExtension: OpaquePointer? {
        guard let statement = unsafe OCSP_resp_get0(pointer, 0) else { return nil }
        let place = unsafe OCSP_SINGLERESP_get_ext_by_NID(statement, NID_ct_cert_scts, -1)
        return place < 0 ? nil : unsafe OCSP_SINGLERESP_get_ext(statement, place)
    }

    // MARK: Signature

    /// The certificates that came along, from the front.
    func certificates(atMost limit: Int) -> [Certificate] {
        guard let stack = unsafe OCSP_resp_get0_certs(pointer) else { return [] }
        return unsafe (0..<min(limit, Int(cssl_x509_stack_count(stack)))).compactMap { place in
            unsafe cssl_x509_stack_value(stack, CInt(place)).map {
                Certificate(unsafe X509Handle(sharing: $0))
            }
        }
    }

    /// Whether the response says that this certificate's owner signed it, by name or by key.
    func isSigner(_ certificate: Certificate) -> Bool {
        var key: UnsafePointer<ASN1_OCTET_STRING>?
        var name: OpaquePointer?
        guard unsafe OCSP_resp_get0_id(pointer, &key, &name) == 1 else { return false }
        let pointer = unsafe certificate.handle.pointer
        if let name = unsafe name {
            return unsafe X509_NAME_cmp(name, X509_get_subject_name(pointer)) == 0
        }
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: CUnsignedInt = 0
        guard let key = unsafe key, let start = unsafe cssl_string_data(key),
            unsafe X509_pubkey_digest(pointer, EVP_sha1(), &digest, &count) == 1
        else { return false }
        let bytes = unsafe UnsafeBufferPointer(
            start: start,
            count: Int(unsafe ASN1_STRING_length(key))
        )
        return unsafe bytes.elementsEqual(digest.prefix(Int(count)))
    }

    /// Whether this certificate's key made the signature.
    func isSigned(by certificate: Certificate) -> Bool {
        guard let stack = unsafe cssl_x509_stack_new() else { return false }
        defer { unsafe cssl_x509_stack_free(stack) }
        guard unsafe cssl_x509_stack_push(stack, certificate.handle.pointer) > 0 else {
            return false
        }
        // The signer is the one given and no other, and only the signature is looked at.
        let flags = UInt(OCSP_TRUSTOTHER | OCSP_NOINTERN)
        return unsafe OCSP_basic_verify(pointer, stack, nil, flags) == 1
    }

    /// The strength of the signature's hash in bits; for kinds of signature that bring their own
    /// hash, more than any level asks for.
    var signatureBits: Int {
        var algorithm: OpaquePointer?
        unsafe X509_ALGOR_get0(&algorithm, nil, nil, OCSP_resp_get0_tbs_sigalg(pointer))
        var hash: CInt = 0
        guard unsafe OBJ_find_sigid_algs(OBJ_obj2nid(algorithm), &hash, nil) == 1 else { return 0 }
        guard hash != NID_undef else { return Int.max }
        guard let digest = unsafe EVP_get_digestbyname(OBJ_nid2sn(hash)) else { return 0 }
        // What OpenSSL counts for the signatures of certificates.
        return switch hash {
        case NID_md5: 39
        case NID_sha1: 63
        default: Int(unsafe EVP_MD_get_size(digest)) * 4
        }
    }

    // MARK: Statements

    /// When the response was signed; nil when that cannot be read.
    var producedAt: UnixTime? { unsafe UnixTime(asn1: OCSP_resp_get0_produced_at(pointer)) }

    /// How many certificates the response speaks of.
    var count: Int { max(0, Int(unsafe OCSP_resp_count(pointer))) }

    /// The identifier of a certificate; valid as long as the response.
    func identifier(at place: Int) -> OpaquePointer? {
        guard let single = unsafe OCSP_resp_get0(pointer, CInt(place)) else { return nil }
        return unsafe OCSP_SINGLERESP_get0_id(single)
    }

    /// What is said of a certificate; nil when that cannot be read.
    func statement(at place: Int) -> Statement? {
        guard let single = unsafe OCSP_resp_get0(pointer, CInt(place)) else { return nil }
        var reason: CInt = -1
        var revoked: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        var thisUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        var nextUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        let status = unsafe OCSP_single_get0_status(
            single,
            &reason,
            &revoked,
            &thisUpdate,
            &nextUpdate
        )
        guard let since = unsafe UnixTime(asn1: thisUpdate) else { return nil }
        let until = unsafe UnixTime(asn1: nextUpdate)
        guard unsafe nextUpdate == nil || until != nil else { return nil }
        let said: OCSPStaple.Status
        switch status {
        case V_OCSP_CERTSTATUS_GOOD: said = .good
        case V_OCSP_CERTSTATUS_UNKNOWN: said = .unknown
        case V_OCSP_CERTSTATUS_REVOKED:
            let time = unsafe UnixTime(asn1: revoked)
            said = .revoked(at: time ?? since, reason: reason < 0 ? nil : Int(reason))
        default: return nil
        }
        let hasCritical = unsafe (0..<max(0, OCSP_SINGLERESP_get_ext_count(single))).contains {
            unsafe X509_EXTENSION_get_critical(OCSP_SINGLERESP_get_ext(single, $0)) == 1
        }
        return Statement(
            status: said,
            thisUpdate: since,
            nextUpdate: until,
            hasCriticalExtension: hasCritical
        )
    }

    /// Refuses extensions that must be understood and are not: none are (RFC 6960 §4.4).
    func refuseCriticalExtensions() throws(OCSPProblem) {
        for place in 0..<max(0, unsafe OCSP_BASICRESP_get_ext_count(pointer)) {
            let found = unsafe OCSP_BASICRESP_get_ext(pointer, place)
            guard unsafe X509_EXTENSION_get_critical(found) == 0 else { throw .criticalExtension }
        }
    }
}
