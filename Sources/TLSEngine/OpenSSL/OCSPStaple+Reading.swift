// Reading a response before it is stapled: what clients would refuse is better not sent.

import COpenSSL

extension OCSPStaple {
    /// Verifies a response about an identity's certificate.
    ///
    /// The signature is verified when the issuer's certificate is known; a client will do it in any
    /// case.
    ///
    /// - Parameters:
    ///   - der: The response.
    ///   - identity: Whose certificate it must speak of.
    ///   - issuer: Who issued that; nil looks among the identity's chain.
    ///   - time: When it must be in date; nil is now.
    ///   - limit: The most bytes; 16 KiB by default, which is what OpenSSL's clients take.
    /// - Throws: ``TLSError`` `.invalidOCSPResponse`, with the reason as verification code.
    public init(
        reading der: [UInt8],
        for identity: TLSIdentity,
        issuer: Certificate? = nil,
        at time: UnixTime? = nil,
        limit: Int = 16380
    ) throws(TLSError) {
        let leaf = identity.certificate
        let known =
            issuer
            ?? identity.certificateChain.dropFirst().first { candidate in
                unsafe X509_check_issued(candidate.handle.pointer, leaf.handle.pointer)
                    == X509_V_OK
            }
        let verification = OCSPVerification(
            leaf: leaf,
            issuer: known,
            now: time ?? UnixTime.now,
            policy: RevocationPolicy(),
            byteLimit: limit,
            securityBits: 0
        )
        do throws(OCSPProblem) {
            self = try verification.verify(der)
        } catch {
            throw TLSError(
                .invalidOCSPResponse,
                verification: VerificationFailure(
                    code: error.code,
                    depth: 0,
                    text: error.text,
                    certificate: leaf
                ),
                hint: "Ask the responder of the certificate's issuer anew, for this certificate"
            )
        }
    }
}
