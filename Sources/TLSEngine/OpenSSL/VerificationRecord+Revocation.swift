// Revocation in a handshake. Lists are judged with the chain, by OpenSSL (`X509_V_FLAG_CRL_CHECK`);
// the staple at the end of the server's flight, which is the first moment at which both versions
// have it, and the one at which OpenSSL lets a client answer with bad_certificate_status_response
// (RFC 6066 §8).

import COpenSSL

extension VerificationRecord {
    /// Has the lists of the policy looked at while OpenSSL verifies a chain.
    ///
    /// - Parameters:
    ///   - store: What OpenSSL verifies.
    ///   - verify: Runs the verification.
    /// - Returns: What it returned.
    func withRevocationLists(_ store: OpaquePointer, _ verify: () -> CInt) -> CInt {
        evidence = nil
        guard trust.revocation.usesLists else { return verify() }
        let deltas = trust.revocation.lists.filter(\.isDelta)
        let lists = trust.revocation.lists.filter { !$0.isDelta }
        guard let stack = X509CRLStack(lists) else {
            unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM)
            return 0
        }
        unsafe X509_STORE_CTX_set0_crls(store, stack.pointer)
        // OpenSSL borrows the lists until the verification is over.
        defer { unsafe X509_STORE_CTX_set0_crls(store, nil) }
        let flags = X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL
        unsafe X509_STORE_CTX_set_flags(store, UInt(flags))
        unsafe X509_STORE_CTX_set_verify_cb(store, passMissingList)
        hasListForLeaf = true
        let result = verify()
        guard result == 1 else { return result }
        guard unsafe deltas.isEmpty || !isRevoked(store, by: deltas) else { return 0 }
        if hasListForLeaf { evidence = .list }
        return 1
    }

    /// Says what is missing of a chain that is in order, once all evidence is in.
    ///
    /// - Parameter chain: The chain that was verified, leaf first.
    /// - Returns: Nil when nothing is missing.
    func missingEvidence(_ chain: [Certificate]) -> VerificationFailure? {
        // An anchor is trusted as it stands.
        guard trust.revocation.demand == .require, evidence == nil, chain.count > 1 else {
            return nil
        }
        let count = trust.revocation.lists.count
        let lists = count == 0 ? "no list is at hand" : "none of \(count) lists is of its issuer"
        return VerificationFailure(
            code: .revocationUnknown,
            depth: 0,
            text: "nothing says whether the certificate is revoked: \(lists), and no staple came",
            certificate: chain[0]
        )
    }

    /// Judges the staple at the end of the server's flight, or that there is none.
    ///
    /// - Parameters:
    ///   - ssl: The connection, whose chain was verified; or whose session was resumed.
    ///   - response: The staple; nil without one.
    /// - Returns: What is wrong, nil when nothing is.
    func revocationFailure(_ ssl: OpaquePointer, _ response: [UInt8]?) -> VerificationFailure? {
        // A resumed session shows no certificate; its chain was judged when it was made.
        let demand = trust.revocation.demand
        guard wasJudged, demand != .off, response != nil || demand == .require else { return nil }
        let chain = unsafe SSLConnection.certificates(SSL_get0_verified_chain(ssl))
        guard let response else { return missingEvidence(chain) }
        return unsafe stapleFailure(ssl, response, chain)
    }

    /// Judges a staple.
    ///
    /// - Parameters:
    ///   - ssl: The connection.
    ///   - response: The staple.
    ///   - chain: The chain that was verified, leaf first.
    /// - Returns: What is wrong, nil when nothing is.
    private func stapleFailure(
        _ ssl: OpaquePointer,
        _ response: [UInt8],
        _ chain: [Certificate]
    ) -> VerificationFailure? {
        // An anchor, and a pinned leaf, is trusted as it stands.
        guard chain.count > 1 else { return nil }
        let verification = OCSPVerification(
            leaf: chain[0],
            issuer: chain[1],
            now: trust.time,
            policy: trust.revocation,
            byteLimit: stapleLimit ?? 0,
            securityBits: Int(SecurityLevel.bits(Int(unsafe SSL_get_security_level(ssl))))
        )
        do throws(OCSPProblem) {
            let staple = try verification.verify(response)
            self.staple = OCSPStapleBox(staple)
            switch staple.status {
            case .good:
                evidence = .staple
                return nil
            case .revoked(let time, let reason):
                let why = reason.map { ", reason \($0)" } ?? ""
                throw OCSPProblem(.revoked, "the staple says revoked since \(time)\(why)")
            case .unknown:
                let text = "the staple says that the responder does not know the certificate"
                throw OCSPProblem(.stapleStatusUnknown, text)
            }
        } catch {
            return VerificationFailure(
                code: error.code,
                depth: 0,
                text: error.text,
                certificate: chain[0]
            )
        }
    }

}

// MARK: The owner's word

extension VerificationRecord {
    /// Has the owner asked about the staple of TLS 1.2, once this side's flight is complete.
    ///
    /// The server does not get that before the answer. In TLS 1.3 the owner was asked with the
    /// certificate.
    func askForStaple(_ ssl: OpaquePointer, _ response: [UInt8]?) {
        guard let deliberation, deliberation.decisions.contains(.ocspResponse), let response,
            unsafe SSL_version(ssl) < TLS1_3_VERSION
        else { return }
        deliberation.questionBehindFlight = .ocspResponse(response, staple?.value)
    }

    /// Whether a staple of TLS 1.3 counts, as far as the policy looks at it, while the chain is judged.
    fileprivate func isWorthAsking(
        _ ssl: OpaquePointer,
        _ store: OpaquePointer,
        _ response: [UInt8]
    ) -> Bool {
        guard failure == nil, trust.revocation.demand != .off else { return true }
        let chain = unsafe SSLConnection.certificates(X509_STORE_CTX_get0_chain(store))
        return unsafe stapleFailure(ssl, response, chain) == nil || trust.acceptsAnything != nil
    }
}

extension Deliberation {
    /// Waits behind the verification of a server's chain for the word on its staple; TLS 1.3.
    ///
    /// - Returns: What `SSL_CTX_set_cert_verify_callback` has to return.
    func confirmStaple(
        _ record: VerificationRecord,
        _ store: OpaquePointer,
        _ ssl: OpaquePointer
    ) -> CInt {
        guard decisions.contains(.ocspResponse), unsafe SSL_is_server(ssl) == 0,
            unsafe SSL_version(ssl) >= TLS1_3_VERSION,
            let response = unsafe SSLConnection.ocspResponse(of: ssl),
            // Else it is refused at the end of the flight, with an alert of its own.
            unsafe record.isWorthAsking(ssl, store, response)
        else { return 1 }
        switch ask(.ocspResponse, .ocspResponse(response, record.staple?.value)) {
        case nil:
            unsafe cssl_set_retry_verify(ssl)
            return 1
        // Refused at the end of the flight, where there is an alert for it (RFC 6066 §8).
        case .some: return 1
        }
    }
}

/// A staple on the heap: few connections have one.
final class OCSPStapleBox: Sendable {
    let value: OCSPStaple

    init(_ value: OCSPStaple) { self.value = value }
}

/// Whether there is no list for a certificate, or only some for other kinds of certificates.
private func saysNothing(_ error: CInt) -> Bool {
    error == X509_V_ERR_UNABLE_TO_GET_CRL || error == X509_V_ERR_DIFFERENT_CRL_SCOPE
}

/// `X509_STORE_CTX_set_verify_cb`: lets a certificate pass for whose issuer there is no list; what
/// that means for the leaf is decided when all evidence is in.
@c(sockets_pass_missing_list)
private func passMissingList(_ isFine: CInt, _ store: OpaquePointer?) -> CInt {
    guard isFine == 0, let store = unsafe store,
        unsafe saysNothing(X509_STORE_CTX_get_error(store))
    else { return isFine }
    let place = SSL_get_ex_data_X509_STORE_CTX_idx()
    guard let ssl = unsafe X509_STORE_CTX_get_ex_data(store, place),
        let record = unsafe SSL_get_ex_data(OpaquePointer(ssl), Callbacks.recordIndex)
    else { return 0 }
    if unsafe X509_STORE_CTX_get_error_depth(store) == 0 {
        unsafe Unmanaged<VerificationRecord>.fromOpaque(record)._withUnsafeGuaranteedRef {
            $0.hasListForLeaf = false
        }
    }
    unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
    return 1
}
