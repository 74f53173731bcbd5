import Testing

@testable import TLSEngine

@Suite
struct CipherSuiteTests {
    @Test("a suite is found by either of its names, and sorted by version")
    func lookUp() throws {
        let list = try CipherSuiteList([
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_AES_128_CCM_8_SHA256",
        ])
        #expect(list.tls12 == ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"])
        #expect(list.tls13 == ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_CCM_8_SHA256"])
    }

    @Test(
        "a name that is no suite's is refused, and told",
        arguments: [
            "AES256", "HIGH", "ALL", "@SECLEVEL=0", "!aNULL", "", "tls_aes_256_gcm_sha384",
            "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
        ]
    )
    func unknown(_ name: String) {
        let error = #expect(throws: TLSError(.invalidCipherSuite)) {
            try CipherSuiteList(["TLS_AES_128_GCM_SHA256", name])
        }
        #expect(error?.detail == name)
    }

    @Test("an empty list is refused")
    func empty() {
        #expect(throws: TLSError(.invalidCipherSuite)) { try CipherSuiteList([]) }
    }
}
