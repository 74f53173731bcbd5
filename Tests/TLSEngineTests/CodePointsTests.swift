import TLSEngine
import Testing

@Suite
struct CodePointsTests {
    @Test(
        "a version prints its usual name, an unknown one its number",
        arguments: [
            (0x0300, "SSL 3.0"), (0x0301, "TLS 1.0"), (0x0302, "TLS 1.1"), (0x0303, "TLS 1.2"),
            (0x0304, "TLS 1.3"), (0x0305, "version 0x0305"), (0, "version 0x0000"),
        ]
    )
    func version(_ number: UInt16, _ text: String) {
        #expect(ProtocolVersion(rawValue: number).description == text)
    }

    @Test("versions are ordered by age")
    func order() {
        #expect(ProtocolVersion.tls12 < .tls13)
        #expect(ProtocolVersion(rawValue: 0x0302) < .tls12)
    }

    @Test(
        "a group prints its registered name, an unknown one its number",
        arguments: [
            (NamedGroup.x25519, "x25519"), (.secp256r1, "secp256r1"), (.secp384r1, "secp384r1"),
            (.secp521r1, "secp521r1"), (.x448, "x448"), (.x25519MLKEM768, "X25519MLKEM768"),
            (NamedGroup(rawValue: 0x0100), "ffdhe2048"),
            (NamedGroup(rawValue: 0x2a2a), "group 0x2a2a"),
        ]
    )
    func group(_ group: NamedGroup, _ text: String) {
        #expect(group.description == text)
    }

    @Test(
        "a signature scheme prints its registered name, an unknown one its number",
        arguments: [
            (0x0403, "ecdsa_secp256r1_sha256"), (0x0804, "rsa_pss_rsae_sha256"),
            (0x0809, "rsa_pss_pss_sha256"), (0x0807, "ed25519"), (0x0401, "rsa_pkcs1_sha256"),
            (0xffff, "scheme 0xffff"),
        ]
    )
    func scheme(_ number: UInt16, _ text: String) {
        #expect(SignatureScheme(rawValue: number).description == text)
    }
}
