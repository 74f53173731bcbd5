// The kit's certificates as this package's clients and servers take them.

public import TLSEngine

extension IssuedCertificate {
    /// The certificate, its chain and its key, as this package's clients and servers take them.
    ///
    /// - Throws: ``TestKitError`` `.openSSL`, or `TLSError` for what no sound program would load.
    public var tlsIdentity: TLSIdentity {
        get throws {
            try TLSIdentity(
                certificate: Array(chainPEM.utf8),
                privateKey: Array(privateKeyPEM.utf8)
            )
        }
    }
}

extension TestCA {
    /// Trust in this authority's root at this authority's time.
    ///
    /// - Throws: `TLSError` `.invalidCertificate`.
    public var trust: TrustPolicy {
        get throws(TLSError) { try TrustPolicy(trusting: [rootDER], at: now()) }
    }
}

extension TrustPolicy {
    init(trusting anchorsDER: [[UInt8]], at unixSeconds: Int64) throws(TLSError) {
        var anchors: [Certificate] = []
        for der in anchorsDER { anchors.append(try Certificate(der: der)) }
        self.init(anchors: anchors)
        verificationTime = UnixTime(seconds: unixSeconds)
    }
}
