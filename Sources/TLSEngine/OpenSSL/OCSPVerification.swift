// Judging an OCSP response about one certificate (RFC 6960 §3.2, RFC 5019 §2.2).
//
// OpenSSL reads the response and verifies its signature. Whom it may come from is decided here:
// `OCSP_basic_verify` would build a chain at the machine's time, and take responders that its own
// store trusts. RFC 6960 §4.2.2.2 leaves two: the issuer of the certificate itself, or a responder
// whose certificate comes along, is signed by that very issuer, and has the OCSPSigning purpose.
// Dates are held against the policy's time, which `OCSP_check_validity` does not know either.

import COpenSSL

/// One way for a response not to count.
struct OCSPProblem: Error {
    var code: VerificationCode
    var text: String

    init(_ code: VerificationCode, _ text: String) {
        self.code = code
        self.text = text
    }
}

/// The certificate a response must be about, and what it is held against.
struct OCSPVerification {
    let leaf: Certificate
    /// Who issued the leaf, by the chain that was verified; nil when a server that will staple the
    /// response does not know, and nothing can be said of the signature.
    let issuer: Certificate?
    let now: UnixTime
    let policy: RevocationPolicy
    /// The most bytes of a response.
    let byteLimit: Int
    /// The strength that keys and hashes must have, in bits.
    let securityBits: Int

    /// Responders' certificates of one response that are looked at: each may cost two signatures.
    static let delegatesMax = 4
    /// Statements of one response that are looked at.
    static let statementsMax = 64

    /// Verifies a response.
    ///
    /// - Parameter der: The response.
    /// - Returns: What it says; in date, unless it says revoked, which does not go out of date.
    /// - Throws: `OCSPProblem` for a response that does not count.
    func verify(_ der: [UInt8]) throws(OCSPProblem) -> OCSPStaple {
        ErrorQueue.clear()
        defer { ErrorQueue.clear() }
        guard der.count <= byteLimit else {
            let text = "the staple has \(der.count) bytes, the limit is \(byteLimit)"
            throw OCSPProblem(.stapleTooLarge, text)
        }
        let response = try OCSPBasicResponse(der)
        var delegate: Certificate?
        if let issuer { delegate = try signer(of: response, issuer) }
        try response.refuseCriticalExtensions()
        let staple = try statement(in: response, der, delegate?.subject)
        if case .revoked = staple.status { return staple }
        try checkDates(of: staple)
        return staple
    }

    // MARK: Who signed

    /// Finds out who signed, and that they may.
    ///
    /// - Returns: The delegated responder; nil for the issuer itself.
    private func signer(
        of response: borrowing OCSPBasicResponse,
        _ issuer: Certificate
    ) throws(OCSPProblem) -> Certificate? {
        try requireStrong(response.signatureBits)
        var problem = OCSPProblem(
            .stapleResponderNotAuthorized,
            "the staple is signed by neither the issuer nor a responder of the issuer"
        )
        if response.isSigner(issuer) {
            if response.isSigned(by: issuer) { return nil }
            problem = OCSPProblem(.stapleBadSignature, "the staple's signature does not verify")
        }
        for candidate in response.certificates(atMost: OCSPVerification.delegatesMax)
        where response.isSigner(candidate) {
            guard mayRespond(candidate, for: issuer) else { continue }
            try requireStrong(candidate.signatureBits)
            try requireStrong(candidate.keyBits)
            guard response.isSigned(by: candidate) else {
                problem = OCSPProblem(.stapleBadSignature, "the staple's signature does not verify")
                continue
            }
            return candidate
        }
        throw problem
    }

    private func requireStrong(_ bits: Int) throws(OCSPProblem) {
        guard bits < securityBits else { return }
        let text = "the staple's key or hash has \(bits) bits of security, not \(securityBits)"
        throw OCSPProblem(.stapleSignatureTooWeak, text)
    }

    /// Whether the leaf's issuer delegated a certificate to answer for it.
    private func mayRespond(_ candidate: Certificate, for issuer: Certificate) -> Bool {
        let pointer = unsafe candidate.handle.pointer
        let flags = unsafe X509_get_extension_flags(pointer)
        guard flags & UInt32(EXFLAG_XKUSAGE) != 0, flags & UInt32(EXFLAG_INVALID) == 0,
            flags & UInt32(EXFLAG_CRITICAL) == 0,
            unsafe X509_get_extended_key_usage(pointer) & UInt32(XKU_OCSP_SIGN) != 0,
            !candidate.mayNotSign
        else { return false }
        guard candidate.notBefore <= now, now <= candidate.notAfter else { return false }
        guard unsafe X509_check_issued(issuer.handle.pointer, pointer) == X509_V_OK,
            let key = unsafe X509_get0_pubkey(issuer.handle.pointer)
        else { return false }
        return unsafe X509_verify(pointer, key) == 1
    }

    // MARK: What is said

    /// Finds what is said of the leaf; of several statements the first that does not clear it.
    private func statement(
        in response: borrowing OCSPBasicResponse,
        _ der: [UInt8],
        _ delegate: String?
    ) throws(OCSPProblem) -> OCSPStaple {
        guard let producedAt = response.producedAt else {
            throw OCSPProblem(.stapleMalformed, "the staple does not say when it was made")
        }
        var found: OCSPStaple?
        var identifiers = OCSPIdentifiers(leaf: leaf, issuer: issuer)
        for place in 0..<min(response.count, OCSPVerification.statementsMax) {
            guard unsafe identifiers.match(response.identifier(at: place)) else { continue }
            guard let said = response.statement(at: place) else {
                throw OCSPProblem(.stapleMalformed, "the staple's statement cannot be read")
            }
            guard !said.hasCriticalExtension else { throw .criticalExtension }
            let staple = OCSPStaple(
                der: der,
                status: said.status,
                producedAt: producedAt,
                thisUpdate: said.thisUpdate,
                nextUpdate: said.nextUpdate,
                delegate: delegate
            )
            guard said.status == .good else { return staple }
            if let earlier = found, earlier.thisUpdate <= said.thisUpdate { continue }
            found = staple
        }
        guard let found else {
            let text = "the staple speaks of another certificate"
            throw OCSPProblem(.stapleOfAnotherCertificate, text)
        }
        return found
    }

    private func checkDates(of staple: OCSPStaple) throws(OCSPProblem) {
        let skew = policy.clockSkew
        let latest = now.adding(skew)
        if staple.thisUpdate > latest || staple.producedAt > latest {
            let text = "the staple is of \(max(staple.thisUpdate, staple.producedAt))"
            throw OCSPProblem(.stapleNotYetValid, text)
        }
        guard let nextUpdate = staple.nextUpdate else {
            let age = now.seconds - staple.thisUpdate.seconds
            guard now <= staple.thisUpdate.adding(policy.maximumAge).adding(skew) else {
                let text = "the staple is \(age) seconds old and does not say when the next comes"
                throw OCSPProblem(.stapleTooOld, text)
            }
            return
        }
        guard nextUpdate >= staple.thisUpdate else {
            throw OCSPProblem(.stapleMalformed, "the staple ends before it begins")
        }
        guard nextUpdate.adding(skew) >= now else {
            throw OCSPProblem(.stapleExpired, "the staple was good until \(nextUpdate)")
        }
    }
}

extension OCSPProblem {
    static var criticalExtension: OCSPProblem {
        OCSPProblem(
            .stapleUnhandledCriticalExtension,
            "the staple has a critical extension that is not understood"
        )
    }
}

/// The identifiers of one certificate by each hash that a responder may use, made when needed.
private struct OCSPIdentifiers {
    let leaf: Certificate
    let issuer: Certificate?
    private var made: [CInt: OCSPIdentifier] = [:]
    private static let hashes = [NID_sha1, NID_sha256, NID_sha384, NID_sha512]

    init(leaf: Certificate, issuer: Certificate?) {
        self.leaf = leaf
        self.issuer = issuer
    }

    /// Whether an identifier (RFC 6960 §4.1.1) is the certificate's: serial number and both hashes.
    mutating func match(_ identifier: OpaquePointer?) -> Bool {
        guard let identifier = unsafe identifier else { return false }
        var algorithm: OpaquePointer?
        var name: UnsafeMutablePointer<ASN1_OCTET_STRING>?
        var serial: UnsafeMutablePointer<ASN1_INTEGER>?
        guard unsafe OCSP_id_get0_info(&name, &algorithm, nil, &serial, identifier) == 1 else {
            return false
        }
        let number = unsafe OBJ_obj2nid(algorithm)
        guard OCSPIdentifiers.hashes.contains(number) else { return false }
        guard let issuer else {
            return unsafe ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf.handle.pointer)) == 0
                && isHash(name, ofIssuerBy: number)
        }
        if made[number] == nil {
            let digest = unsafe EVP_get_digestbyname(OBJ_nid2sn(number))
            let (leaf, issuer) = unsafe (leaf.handle.pointer, issuer.handle.pointer)
            let own = unsafe OCSP_cert_to_id(digest, leaf, issuer)
            made[number] = unsafe own.map { unsafe OCSPIdentifier(owning: $0) }
        }
        guard let own = made[number] else { return false }
        return unsafe OCSP_id_cmp(own.pointer, identifier) == 0
    }

    /// Whether bytes are the hash of the name of the leaf's issuer.
    private func isHash(_ bytes: UnsafePointer<ASN1_OCTET_STRING>?, ofIssuerBy number: CInt) -> Bool
    {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: CUnsignedInt = 0
        let kind = unsafe EVP_get_digestbyname(OBJ_nid2sn(number))
        let name = unsafe X509_get_issuer_name(leaf.handle.pointer)
        guard let bytes = unsafe bytes, let start = unsafe cssl_string_data(bytes),
            unsafe X509_NAME_digest(name, kind, &digest, &count) == 1
        else { return false }
        let length = Int(unsafe ASN1_STRING_length(bytes))
        let given = unsafe UnsafeBufferPointer(start: start, count: length)
        return unsafe given.elementsEqual(digest.prefix(Int(count)))
    }
}

/// An identifier of a certificate, freed with its last owner.
@safe
private final class OCSPIdentifier {
    let pointer: OpaquePointer

    /// Takes it over.
    init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit { unsafe OCSP_CERTID_free(pointer) }
}

extension Certificate {
    /// The strength of the key in bits.
    fileprivate var keyBits: Int {
        guard let key = unsafe X509_get0_pubkey(handle.pointer) else { return 0 }
        return Int(unsafe EVP_PKEY_get_security_bits(key))
    }

    /// The strength of the issuer's signature in bits.
    fileprivate var signatureBits: Int {
        var bits: CInt = 0
        let isKnown = unsafe X509_get_signature_info(handle.pointer, nil, nil, &bits, nil) == 1
        return isKnown ? Int(bits) : 0
    }
}
